"""The command line of the server: errors at startup, the ready line, --help."""

import concurrent.futures
import os
import re
import subprocess
import sys
from pathlib import Path

from serving.model_server import not_offered
from tests.serving.colours import save_version
from tests.serving.running import ROOT, RunningServer, run_server


def test_errors_at_startup_are_one_line_with_exit_code_2(
    server: RunningServer, tmp_path: Path
) -> None:
    empty, incomplete = tmp_path / 'empty', tmp_path / 'incomplete'
    empty.mkdir()
    (empty / 'notes').mkdir()
    incomplete.mkdir()
    save_version(incomplete, 1)
    (incomplete / '1' / 'saved_model.pb').unlink()
    free = ['--port=0', '--rest_api_port=0']
    grpc_port, rest_port = server.grpc.split(':')[1], server.rest.split(':')[1]
    cases = [
        ([f'--model_base_path={tmp_path}/none', *free], 'must be an existing folder, got '),
        ([f'--model_base_path={empty}', *free], f'{empty}: must contain a version folder'),
        ([f'--model_base_path={incomplete}', *free], f'{incomplete}/1: must be a loadable model'),
        (
            [f'--model_base_path={incomplete}', f'--port={grpc_port}', '--rest_api_port=0'],
            '--port must be free',
        ),
        (
            [f'--model_base_path={incomplete}', '--port=0', f'--rest_api_port={rest_port}'],
            '--rest_api_port must be free',
        ),
        (
            [f'--model_base_path={incomplete}', '--port=70000'],
            'port must be in 0..65535, got 70000',
        ),
        (
            [f'--model_base_path={incomplete}', '--max_request_bytes=0'],
            'the time to receive a request must be positive, and its limit in 1..2147483647 bytes, '
            'got 20.0 s and 0 bytes',
        ),
        (free, '--model_base_path must be set'),
    ]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda case: run_server(*case[0]), cases))
    for done, (_, reason) in zip(results, cases, strict=True):
        assert done.returncode == 2, done.stderr
        assert done.stdout == ''
        last = done.stderr.splitlines()[-1]
        assert last.startswith('error: ')
        if 'must be free' in reason:
            assert done.stderr.count('\n') == 1
        assert reason in last
        assert 'Traceback' not in done.stderr


def test_the_server_exits_if_its_output_is_closed(tmp_path: Path) -> None:
    save_version(tmp_path, 1)
    flags = [f'--model_base_path={tmp_path}', '--port=0', '--rest_api_port=0']
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, '-m', 'serving.model_server', *flags],
        cwd=ROOT,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    try:
        _, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 141  # as every command; see catalog.command_line
    assert 'Traceback' not in errors


def test_help_shows_examples() -> None:
    assert 'python -m serving.model_server --model_base_path=' in run_server('--help').stdout


# The flags of tensorflow_serving/model_servers/main.cc.
TENSORFLOW_SERVINGS_FLAGS = """
    port grpc_socket_path rest_api_port rest_api_num_threads rest_api_timeout_in_ms
    rest_api_enable_cors_support enable_batching allow_version_labels_for_unavailable_models
    batching_parameters_file enable_per_model_batching_parameters model_config_file
    model_config_file_poll_wait_seconds model_name model_base_path num_load_threads
    num_unload_threads max_num_load_retries load_retry_interval_micros
    file_system_poll_wait_seconds flush_filesystem_caches tensorflow_session_parallelism
    tensorflow_session_config_file tensorflow_intra_op_parallelism tensorflow_inter_op_parallelism
    use_alts_credentials ssl_config_file platform_config_file per_process_gpu_memory_fraction
    saved_model_tags grpc_channel_arguments grpc_max_threads enable_model_warmup
    num_request_iterations_for_warmup version monitoring_config_file
    remove_unused_fields_from_bundle_metagraph prefer_tflite_model num_tflite_pools
    num_tflite_interpreters_per_pool enable_signature_method_name_check xla_cpu_compilation_enabled
    xla_gpu_compilation_enabled enable_profiler thread_pool_factory_config_file mixed_precision
    skip_initialize_tpu enable_grpc_healthcheck_service enable_serialization_as_tensor_content
"""


def test_every_flag_of_tensorflow_serving_is_offered_or_refused_by_name() -> None:
    text = run_server('--help').stdout
    offered = {
        name
        for name in TENSORFLOW_SERVINGS_FLAGS.split()
        if re.search(rf'--(\[no\])?{name}:', text)
    }
    assert {'model_config_file', 'enable_batching', 'ssl_config_file'} < offered
    for name in set(TENSORFLOW_SERVINGS_FLAGS.split()) - offered:
        assert (not_offered.find([f'--{name}=1']) or '').startswith(f'--{name} is a flag of')
    for name in offered:
        assert not_offered.find([f'--{name}=1']) is None
