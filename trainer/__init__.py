"""Trains a picture classifier from the shards of a data set, measures it and exports it.

| module | owns |
|---|---|
| `config` | the values that change a run's result, checked when made |
| `config_files` | a config in a file, and in a workdir |
| `overrides` | `a.b=value` on the command line, onto a config |
| `data_set` | a folder of shards, checked against its manifest; what a run remembers of it |
| `sources` | records of the shards, or of a set that lies in memory |
| `sampling`, `copies` | how often a class is read; which examples of a block that makes |
| `sizes` | the size of the pictures by step |
| `input_pipeline` | records to batches of uint8 pictures |
| `product_pipeline` | shards to batches of whole products, their views with a mask |
| `feed` | a batch to what the model takes |
| `fusion`, `fusion_config` | the views of a product to one answer |
| `features` | the command line of a feature cache; |
| `feature_cache`, `feature_record`, `backbone_file` | what lies in one, |
| `feature_source` | what of, and whether a run fits it |
| `preprocess` | bytes to pixels, pixels to what a model was trained on: one rule for all |
| `jpeg_batches` | the same pixels sooner, where a host decodes a batch |
| `families` | what is known of each backbone: how it is fed, how small a picture may be |
| `model_config` | the values of the network |
| `backbones`, `small_networks`, `efficientnet_lite0` | pictures to a map of features |
| `heads`, `last_layers`, `model` | the map to features; features to logits; all of it |
| `lite0_weights`, `pth` | a file of weights out of a package, without PyTorch |
| `augmentation` | what training alone does to pictures |
| `loss` | the softmax rule that learns from one prior and answers with another |
| `losses`, `objective` | each loss by its paper; the one of a run |
| `level_heads` | heads for the parents of a leaf, in training alone |
| `start_config`, `starting` | the weights of another run that one begins with |
| `tau_norm`, `tau_fitting` | a last layer whose classes are alike in length |
| `schedules`, `optimizers` | the learning rate by step; the update |
| `step_config`, `optimizer_config`, `loss_config`, `augment_config`, `input_config` | parts of |
| `config_types` | the config; and their ranges |
| `step` | what one step computes, on each device |
| `batch_norm` | batch norm in training by one kernel |
| `averages` | the mean of the weights, evaluated and exported in their place |
| `plateau` | the drop of the learning rate where evaluations no longer get better |
| `groups` | which weights learn at a pace of their own, or not at all |
| `test_time` | a picture and its mirror image, asked together |
| `validation` | evaluation while training, and which step was best |
| `moving` | the figures of batch norm that are evaluated, where every device has its own |
| `strategy` | on which devices |
| `workers` | the processes of a run, and what they agree on |
| `resume` | the state of all workers, saved and restored together |
| `checkpoint` | the state of a run on disk, whole or not at all |
| `boards` | `metrics.jsonl` and TensorBoard |
| `reporting` | the sums of a window to a line of the boards |
| `board_config` | what the boards show beside the curves; |
| `sample_pictures`, `profiling`, `mirror` | and how |
| `best`, `evaluator` | which evaluation was the best; what one finds |
| `building`, `claim`, `guards` | what a run trains; its workdir; what stops it |
| `costs`, `dry_run` | operations and memory of a run; what it would be |
| `train` | the loop |
| `distill_config`, `teacher`, `scaling` | the model that another learns from |
| `combination` | how the answers of several models become one |
| `search_space`, `search` | what fields of a config may be; trials, one after another |
| `search_report`, `tune` | what they found; the command line of searching |
| `python_files` | files of values that are Python |
| `tensorflow_start` | TensorFlow, loaded by a command line when it is needed |
| `task` | the command line of training |
| `scoring`, `predictions` | what a model says of the pictures and products of a split |
| `measures`, `metrics`, `levels`, `thirds` | figures counted as examples stream by |
| `calibration`, `roc_auc` | how far a confidence can be believed; one class against the rest |
| `coverage`, `bootstrap`, `suspects`, `showcase` | what needs each product |
| `prediction_table` | the table of predictions, a row a product |
| `photos` | products' photos out of the shards again |
| `evaluation`, `evaluate` | all of these in one pass; the command line of it |
| `evaluation_report`, `evaluation_document`, `evaluation_page` | told as text, JSON and HTML |
| `charts`, `pages`, `tables` | pictures, pages and tables of the reports |
| `serving_module`, `baked`, `warmup`, `model_card` | the model as it leaves, and what is with it |
| `publish`, `exporting`, `export` | folders whole or absent; writing the model; its command line |
| `predict`, `predicting`, `submission` | a dump to a file of answers; its rows |
| `dump_stream`, `decoding`, `exported_models` | products, pixels, and the models that are asked |
| `resumable_file` | a file that goes on after kill -9 |
| `answers`, `run_record`, `summary_*`, `summary` | a whole run told |

Knows Keras and TensorFlow; knows neither Beam nor the serving of models.
"""
