"""The typed schema of every configuration key.

All verbs share one schema, so that a profile, an experiment or an override means the same to each of them;
each verb reads its own sections. Keys that are not here are refused (see ``one_embedder.config.entry``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from one_embedder.config import limits

_INSTRUCTOR_LOSS = "one_embedder.training.objective.InstructorLoss"


@dataclass
class EncoderConfig:
    """A text encoder: ``minilm`` (the embedded wheel), a hub id or a local folder."""

    name_or_path: limits.Text = "minilm"  # minilm, a hub id or a local folder, such as RUN/checkpoint
    revision: str | None = None  # of the hub: a commit, tag or branch; None: the newest
    max_length: limits.AtLeastTwo | None = None  # tokens, instruction included; None: what the checkpoint says
    joining: limits.Joining = "pypi"  # of instruction and text, as the published package does or its repository's head
    layers: limits.Count | None = None  # keep so many of the lowest transformer layers; None: all


@dataclass
class HubDatasetConfig:
    """One data set of the hub as training data; what each key means is told in ``conf/medi/full.yaml``."""

    repo: str = MISSING
    revision: str = MISSING
    files: list[str] = MISSING  # names, or patterns with *
    format: str = MISSING  # embedding_training_data | columns | kilt | medmcqa
    columns: dict[str, str] = field(default_factory=dict)  # of format columns: query, positive and perhaps negative
    query: str = MISSING  # instruction
    document: str | None = None  # instruction of positives and negatives; None: the query's
    words: str = "ours"  # whose the instructions are: ours | medi
    symmetric: bool = MISSING
    negatives: str = MISSING  # given | mined
    cap: int = MISSING  # rows
    first_rows: int | None = None  # draw among so many first rows only; None: among all
    licence: str = MISSING
    seen_in_evaluation: bool = MISSING
    unverified: str | None = None  # what of this entry nobody has seen on the hub, and why


@dataclass
class MiningConfig:
    """Which candidates become hard negatives; by default the paper's. Told in ``conf/medi/documentation.yaml``."""

    max_share_of_positive: limits.ShareOfPositive | None = None  # at most, of a negative; None: no bound
    positive_margin: limits.Distance | None = None  # at least, of a negative; None: no bound
    first_rank: limits.Count = 1  # negatives are drawn from these ranks, the most similar is 1
    last_rank: int = 1  # the last of these ranks
    negatives: limits.Count = 1  # of a row
    seed: limits.Natural = 0  # of the draw
    none_left: limits.NoneLeft = "least_similar"  # what where no candidate is left


@dataclass
class MediConfig:
    """Training data: where it comes from and where it is on disk."""

    source: str = "documentation"  # documentation, own, file, super_ni, mixture or full; choose it with the group medi
    folder: limits.Text = "${paths.data}/${medi.source}"  # holds medi/ (Arrow), benchmark/{dev,test}/ and report.md
    rows_per_task: limits.Count = 400  # at most
    min_rows_per_task: limits.Count = 32  # a task of fewer is left out
    workers: limits.Count = 2  # processes that build
    mining: MiningConfig = field(default_factory=MiningConfig)  # not file, whose rows have their negatives
    path: limits.Text | None = None  # own: a file of pairs; file: MEDI, a file, folder or hub id, None: it is built
    query_instruction: str = ""  # own: of rows that have none; empty: no instruction
    document_instruction: str = ""  # own: of rows that have none; empty: no instruction
    held_back: limits.BelowOne = 0.1  # own: share of the queries that become a benchmark; 0: no benchmark
    max_rejected: limits.Share = 0.01  # file: share of the rows that may be unusable before the whole is refused
    root: str | None = None  # super_ni, and mixture and full to join it: the original repository, or a compact copy
    tasks: limits.Some | None = None  # super_ni: which of its tasks are built, names or patterns with *; None: all
    instances_per_task: limits.Count = 6500  # super_ni and views: read of a task or set; more are drawn from
    text_output: limits.TextOutput = "inputs"  # super_ni: which of the two are alike where outputs are texts
    instructions: dict[str, dict[str, str]] = field(default_factory=dict)  # super_ni: task -> what the rule gets wrong
    pairs: str | None = None  # super_ni, mixture and full: a folder of pairs to add
    instances_of_pairs: limits.Count = 5000  # read of a file of pairs
    pair_instructions: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)  # file -> side -> template
    views: str | None = None  # super_ni, mixture and full: a folder of view sets to add (see ViewsConfig)
    view_sets: limits.Some | None = None  # which of them; None: those of views.sets whose part is train
    crossed_views: bool = True  # positives differ in the other labelings of their set, negatives are alike in one
    leakage: str | None = None  # not documentation: a benchmark folder; what overlaps with it is dropped
    hub: dict[str, HubDatasetConfig] = field(default_factory=dict)  # task name -> data set
    datasets: limits.Some | None = None  # which of them; None: all


@dataclass
class SamplerConfig:
    """Which rows share a batch; the strategies are told in ``one_embedder.medi.batches.strategies``."""

    global_batch_size: limits.AtLeastTwo = 32  # rows of a batch, over all devices
    strategy: limits.StrategyName = "proportional"  # or another class
    temperature: limits.Positive | None = None  # of strategy temperature: weights are rows ** (1 / temperature)
    cap: limits.AtLeastTwo | None = None  # of strategy capped: rows that a task counts as, at most
    tasks: limits.Some | None = None  # which tasks are trained on, names or patterns with *; None: all
    symmetric: bool | None = None  # only tasks whose two sides have one instruction, or (False) only others; None: all


@dataclass
class LossConfig:
    """INSTRUCTOR's contrastive loss; another class has its arguments as keys (``one_embedder.config.own_class``)."""

    _target_: str = field(default=_INSTRUCTOR_LOSS, kw_only=True)  # the class; choose it with the group loss
    spelling: limits.Spelling = "released"  # paper: other rows' positives are negatives too
    bidirectional: bool = True  # also find the query of a positive; False: the documents of a query only
    temperature: limits.Positive = 0.01  # what similarities are divided by
    learn_temperature: bool = False  # temperature is then where it begins
    gather_negatives: bool = False  # candidates from all devices, with their gradient; False: from a device's own rows
    hard_negatives: bool = True  # False: the rows' own negatives are no candidates
    other_instruction_negatives: bool = False  # a further candidate: the query's text under another task's instruction
    mask_same_text: bool = False  # leave out in-batch negatives whose text is also a right answer
    mask_same_label: bool = False  # leave out in-batch negatives of the row's own class, where the data name classes
    mask_margin: limits.Margin | None = None  # leave out negatives more similar than the positive by more than this


@dataclass
class OptimizerConfig:
    """AdamW."""

    learning_rate: limits.Positive = 2e-5  # the highest, after the warm-up
    weight_decay: limits.NotNegative = 0.01  # of matrices; biases and norms have none
    layer_decay: limits.ShareOfPositive = 1.0  # each layer learns so many times as fast as the one above; 1: all alike
    frozen_layers: limits.Natural = 0  # lowest transformer layers (and the word embeddings with them) left as they are
    dropout: bool = True  # False: no dropout while training, a fifth less time on a CPU


@dataclass
class ScheduleConfig:
    """Linear warm-up, then linear decay to zero."""

    warmup_ratio: limits.Share = 0.1  # share of the steps


@dataclass
class EarlyStoppingConfig:
    """Evaluation while training: the best encoder is kept in ``best/``, beside the last one in ``checkpoint/``."""

    every_n_steps: limits.Count | None = None  # how often; None: never
    patience: limits.Count | None = 5  # ends training after so many evaluations without a better score; None: never
    root: limits.Text | None = None  # benchmark folder; its mean of category means counts; None: medi.folder's
    tasks: limits.Some | None = None  # which of its tasks; None: all


@dataclass
class TrainerConfig:
    """Arguments of the Lightning trainer."""

    max_steps: limits.Count = 200  # steps of the optimizer
    share_of_steps: bool = False  # True: only the part of max_steps that the chosen tasks have in a run over all tasks
    accelerator: limits.Accelerator = "auto"  # auto: the GPU if there is one
    devices: limits.Count = 1  # of each node
    num_nodes: limits.Count = 1  # machines
    strategy: limits.Strategy = "auto"  # auto, ddp or fsdp; choose it with the group devices
    precision: limits.Precision = "32-true"  # a CPU without bfloat16 takes a hundred times longer with bf16-mixed
    gradient_clip_val: limits.Positive | None = 1.0  # largest norm of the gradient; None: no limit
    mini_batch_size: limits.Count | None = None  # texts embedded at a time, with the batch's exact gradient (GradCache)
    accumulate_grad_batches: limits.Count = 1  # batches of a step, each contrasted in itself
    backbone_share: limits.BelowOne = 0.0  # of the saved weights: mixed with the backbone's, as WiSE-FT does; 0: none
    gradient_checkpointing: bool = False  # compute activations again instead of keeping them: less memory, more time
    log_every_n_steps: limits.Count = 10  # to metrics.csv and W&B
    checkpoint_every_n_steps: limits.Count = 50  # where an interrupted run goes on
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    max_length: limits.AtLeastTwo | None = 64  # training tokens per text, instruction included


@dataclass
class InstructionsConfig:
    """Evaluation instructions: a table of task, or category -> side -> instruction."""

    name: str = "none"  # of the table; choose it with the group instructions
    table: dict[str, dict[str, Any]] = field(default_factory=dict)  # texts; in files also parts of the template
    beside_tasks: bool = False  # instead of the table: instructions.json in each task's folder


@dataclass
class TaskFolderConfig:
    """Where a task folder departs from its category's protocol; what another category reads is refused."""

    samples_per_label: limits.Count | None = None  # Classification: training texts of each label; None: 8
    splits: limits.Some | None = None  # STS: files that are scored together; None: test
    ignore_identical_ids: bool | None = None  # Retrieval: a document with the query's own id is no answer; None: it is


@dataclass
class BenchmarkConfig:
    """Which tasks are scored."""

    name: str = "documentation"  # of the benchmark; choose it with the group benchmark
    root: limits.Text = "${medi.folder}/benchmark/${benchmark.split}"  # the folder of tasks
    split: limits.Split = "test"  # of the documentation benchmark
    mteb: str | None = None  # a benchmark of mteb's registry; its tasks' data come from the hub
    folders: dict[str, str] = field(default_factory=dict)  # task -> category: which folders below root; none: all
    tasks: limits.Some | None = None  # which of all these; None: all
    shares: limits.Count = 1  # among so many runs the tasks are divided, all with the same output
    share: limits.Natural = 0  # which of them this run is; from 0
    protocol: dict[str, TaskFolderConfig] = field(default_factory=dict)  # by a task's name, or as MTEB spells it


@dataclass
class ViewSetConfig:
    """Texts with two or more labelings: what they are, and which purpose each labeling stands for."""

    part: limits.Part = MISSING  # what the set is for
    text_type: str = MISSING  # part of the instruction: what the texts are
    domain: str | None = None  # part of the instruction: what they are about
    objectives: dict[str, str] = MISSING  # labeling -> objective of its instruction; other labelings are not used


@dataclass
class ViewsConfig:
    """One text, many purposes: sets whose texts have several labelings, and how steering is measured on them."""

    name: str = "none"  # of the sets; choose it with the group views
    root: str | None = None  # holds <set>/texts.jsonl: {text, labels: {labeling: class}, split: train or test}
    sets: dict[str, ViewSetConfig] = field(default_factory=dict)  # set -> its purpose and instructions
    part: limits.Part = "test"  # whose sets are scored, always by their test texts; train: those that are trained on
    chosen: limits.Some | None = None  # or these sets instead
    texts_per_set: limits.AtLeastFour | None = 1000  # of the test texts, drawn; None: all
    neighbours: limits.Count = 10  # that vote about a text's class
    repeats: limits.Count = 5  # of each clustering, with another seed
    seed: limits.Natural = 0  # of the draw and of the first clustering


@dataclass
class EvaluationConfig:
    """How tasks are scored."""

    batch_size: limits.Count = 64  # texts embedded at a time
    dtype: limits.EncoderDtype = "float32"  # of the encoder's weights; shorter is faster and moves scores a little
    document_instructions: bool = True  # the published retrieval scores were probably computed without them
    instructions: limits.Shown = "right"  # right | wrong (another task's) | shuffled (the words in another order)
    demonstrations: limits.Count = 1  # shown to the in-context learner for each test input of prompt retrieval


@dataclass
class PromptTaskConfig:
    """How one prompt retrieval task is run. Texts are templates over a row's fields: "{sentence1}", "{endings[0]}"."""

    retrieval_text: str | None = None  # what is embedded; None, for this and the next two: by the file's layout
    prompt: str | None = None  # the input as the learner sees it
    output: str | None = None
    remove_prefix: dict[str, str] = field(default_factory=dict)  # field -> what its text starts with, left out
    keep: dict[str, str] = field(default_factory=dict)  # field -> value of the eval rows that count, others left out
    pool_size: limits.Count | None = None  # rows drawn from the train file; None: all
    eval_size: limits.Count | None = None
    seed: limits.Natural = 0  # of the draws
    group: str | None = None  # field of what the score is made over: the tenth percentile of the groups' means
    groups: limits.Count | None = None  # drawn, with `group_size` eval rows each
    group_size: limits.Count | None = None
    max_demonstrations: limits.Count | None = None  # of the most similar ones; None with a token budget: no limit
    token_budget: limits.Count | None = None  # demonstrations and test input together, in the learner's tokens
    tokens_per_demonstration: limits.Count | None = None  # longer ones are passed over
    skip_identical: bool = False  # pass over demonstrations of cosine 1; one with the test input's text always is
    centring: limits.Centring = "none"  # none | separate (pool and eval each by their own mean) | pool (only the pool)
    labels: limits.Labels = field(default_factory=dict)  # label in the data -> word in the prompt; scored by number
    options: str | None = None  # field with a row's own list of answers to choose from
    between: str = "\n\n\n"  # written between two demonstrations, and before the test input
    before_output: str = "\n"
    max_new_tokens: limits.Count = 64  # without labels or options the learner writes its answer
    stop: limits.Stops = field(default_factory=list)  # the answer ends before any of these
    stemmer: bool = False  # ROUGE-L of word stems


@dataclass
class LanguageModelConfig:
    """The causal language model of ``learner: model``: a hub id or a local folder."""

    name_or_path: limits.Text = "EleutherAI/gpt-j-6b"  # a hub id or a local folder
    revision: str | None = None  # of the hub; None: the newest
    dtype: limits.Dtype = "float32"  # of its weights
    batch_size: limits.Count = 8  # sequences at a time


@dataclass
class PromptRetrievalConfig:
    """Prompt retrieval: the in-context learner, and the tasks that have their own protocol."""

    name: str = "none"  # of the protocol; choose it with the group prompt_retrieval
    learner: limits.LearnerName = "nearest"  # nearest and vote copy a demonstration's output; or another class
    model: LanguageModelConfig = field(default_factory=LanguageModelConfig)
    selection: limits.Selection = "similar"  # of demonstrations | random: drawn with each task's seed, to compare with
    centring: limits.Centring | None = None  # None: as each task says
    metric: limits.Metric = "rouge_l"  # of words of a-z and 0-9, as published | rouge_l_unicode: of every script
    tasks: dict[str, PromptTaskConfig] = field(default_factory=dict)  # task -> how it is run


@dataclass
class TableConfig:
    """What the results table is made of."""

    name: str = "table1"  # views: how far instructions steer, in place of Table 1 (docs/views.md)
    seeds: limits.Seeds = field(default_factory=lambda: [0])  # of trainings; finetuned rows are means over them
    bootstrap_resamples: limits.Count = 1000  # with fewer than 40 for each claim of a table, none can be supported
    confidence: limits.Confidence = 0.95  # of intervals
    expected: str = "experiments/expected/${table.name}_${profile}.yaml"  # from the project's root, as is the next
    published: str = "experiments/expected/paper_table2.yaml"  # the paper's rows
    published_models: str = "experiments/expected/published_models.yaml"  # beside profiles released and paper
    backbone: str | None = None  # their first row, a hub id or a folder; None: what the model was finetuned from
    record: bool = False  # write where git looks, for pages and later verdicts; without, below experiments/own
    accept_near: bool = False  # exit code 0 although cells are near; without, 3


@dataclass
class AxisConfig:
    """One thing that an ablation varies."""

    label: str = ""  # for readers
    evaluated: bool = False  # only how a trained model is scored; False: each level is trained
    levels: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> settings (dotted key -> value)


@dataclass
class ClaimConfig:
    """A sentence that an ablation tests: the sum of some cells is above the sum of others."""

    text: str = ""  # in our words
    source: str = ""  # its place in the paper, or that it is ours
    plus: list[dict[str, str]] = field(default_factory=list)  # cells: axis -> level, or reference -> name
    minus: list[dict[str, str]] = field(default_factory=list)
    gap_over: str | None = None  # an evaluated axis: what is compared is its best minus its worst level
    column: str = "average"  # of the table


@dataclass
class PublishedPointConfig:
    """A number of the paper, in points, shown beside ours."""

    label: str = ""
    levels: dict[str, str] = field(default_factory=dict)  # axis -> level of ours that it corresponds to
    points: float = MISSING
    source: str = ""
    second_hand: bool = True  # nobody could check it against the paper


@dataclass
class HeadroomConfig:
    """How far a model for all tasks lies below models for one kind of task, on each task of the benchmark."""

    specialists: str | None = None  # axis whose levels are the kinds, but for those of all tasks; None: not asked for
    generalist: dict[str, str] = field(default_factory=dict)  # cell: trained on all tasks, without instructions
    instructed: dict[str, str] = field(default_factory=dict)  # cell: the same with instructions
    backbone: str = ""  # reference
    mirrors: dict[str, list[str]] = field(default_factory=dict)  # kind -> tasks of the benchmark made the same way


@dataclass
class AblationConfig:
    """What an ablation varies, trains, evaluates and claims; a file in ``conf/ablation`` sets it."""

    name: str = ""  # of the file; empty: there is no ablation
    question: str = ""  # for readers
    seeds: limits.Seeds = field(default_factory=lambda: [0, 1, 2])  # of trainings
    axes: dict[str, AxisConfig] = field(default_factory=dict)  # what is varied: name -> levels
    references: dict[str, dict[str, Any]] = field(default_factory=dict)  # untrained models: name -> settings
    claims: dict[str, ClaimConfig] = field(default_factory=dict)  # what is tested
    published: list[PublishedPointConfig] = field(default_factory=list)  # the paper's numbers, shown beside
    headroom: HeadroomConfig = field(default_factory=HeadroomConfig)  # what its tables of specialists need
    child: str | None = None  # the one that this job runs; None: tabulate those that ran


@dataclass
class TrackingConfig:
    """Weights & Biases; the run record and CSV metrics are always written."""

    wandb: limits.WandbMode = "offline"  # Weights & Biases
    project: str = "one-embedder"  # of Weights & Biases
    group: str | None = None  # runs that belong together, such as a sweep's; None: the table's, for what it runs
    tags: list[str] = field(default_factory=list)  # beside profile, encoder, side and loss
    checkpoints: bool = True  # online: send the trained encoder too


@dataclass
class PathsConfig:
    """Where things are written; relative paths start at the project's root."""

    data: limits.Text = "data"  # what build_medi makes
    experiments: limits.Text = "experiments"  # runs, results and tables


@dataclass
class AboutConfig:
    """What a profile is and what it takes, in words; printed, never computed with."""

    description: str = ""  # what the profile is
    command: str = ""  # that runs it
    hardware: str = ""  # that it takes
    time: str = ""  # that it takes


@dataclass
class Config:
    """Everything a verb can be told."""

    profile: str = "documentation"  # which model, data and benchmark: see the groups
    seed: limits.Natural = 0  # of weights, order and dropout
    output: str | None = None  # folder of the result; None: named after what determines it
    with_instructions: bool = True  # False: train and evaluate embed texts without their instructions
    instruction_detail: limits.Detail = "detailed"  # simple: domain and kind of text alone; tag: the task's name
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    medi: MediConfig = field(default_factory=MediConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    loss: Any = field(default_factory=LossConfig)  # LossConfig, or a dict: _target_ and its arguments
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    instructions: InstructionsConfig = field(default_factory=InstructionsConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    prompt_retrieval: PromptRetrievalConfig = field(default_factory=PromptRetrievalConfig)
    table: TableConfig = field(default_factory=TableConfig)
    ablation: AblationConfig = field(default_factory=AblationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
    about: AboutConfig = field(default_factory=AboutConfig)
