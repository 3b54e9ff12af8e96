"""TensorFlow Serving's flags that this server does not offer, so that they are refused by name."""

from collections.abc import Sequence

_ALWAYS = 'it is always so here'
_NO = 'this server has nothing like it'

FLAGS = {
    'grpc_socket_path': _NO,
    'grpc_channel_arguments': _NO,
    'enable_per_model_batching_parameters': 'use --batching_parameters_file',
    'num_load_threads': 'versions load one after another, beside requests',
    'num_unload_threads': 'versions load one after another, beside requests',
    'max_num_load_retries': 'loading is tried again when the folder changes',
    'load_retry_interval_micros': 'loading is tried again when the folder changes',
    'flush_filesystem_caches': _NO,
    'tensorflow_session_parallelism': 'set TF_NUM_INTEROP_THREADS and TF_NUM_INTRAOP_THREADS',
    'tensorflow_intra_op_parallelism': 'set TF_NUM_INTRAOP_THREADS',
    'tensorflow_inter_op_parallelism': 'set TF_NUM_INTEROP_THREADS',
    'tensorflow_session_config_file': _NO,
    'use_alts_credentials': 'use --ssl_config_file',
    'platform_config_file': _NO,
    'per_process_gpu_memory_fraction': 'GPU memory grows as needed',
    'saved_model_tags': 'the tag is serve',
    'enable_model_warmup': _ALWAYS,
    'num_request_iterations_for_warmup': 'each request is run once',
    'remove_unused_fields_from_bundle_metagraph': _NO,
    'prefer_tflite_model': _NO,
    'num_tflite_pools': _NO,
    'num_tflite_interpreters_per_pool': _NO,
    'enable_signature_method_name_check': 'method names are not checked',
    'xla_cpu_compilation_enabled': 'set TF_XLA_FLAGS',
    'xla_gpu_compilation_enabled': 'set TF_XLA_FLAGS',
    'enable_profiler': _NO,
    'thread_pool_factory_config_file': _NO,
    'mixed_precision': 'convert the model instead',
    'skip_initialize_tpu': 'it uses no TPU',
    'enable_serialization_as_tensor_content': 'responses have typed fields, the default there',
    'version': 'ask pip show product-categories',
}


def find(arguments: Sequence[str]) -> str | None:
    """Returns an error about the first of these flags among arguments, or None."""
    for argument in arguments:
        name = argument.lstrip('-').partition('=')[0]
        if argument.startswith('-') and name in FLAGS:
            return (
                f'--{name} is a flag of TensorFlow Serving that this server does not offer: '
                f'{FLAGS[name]}; remove it'
            )
    return None
