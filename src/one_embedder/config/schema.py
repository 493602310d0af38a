"""The typed schema of every configuration key.

All verbs share one schema, so that a profile, an experiment or an override means the same to each of them;
each verb reads its own sections. Keys that are not here are refused (see ``one_embedder.config.entry``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class EncoderConfig:
    """A text encoder: ``minilm`` (the embedded wheel), a hub id or a local folder."""

    name_or_path: str = "minilm"
    revision: str | None = None
    max_length: int | None = None  # tokens, instruction included; None: what the checkpoint says
    joining: str = "pypi"
    layers: int | None = None  # keep so many of the lowest transformer layers; None: all


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

    max_share_of_positive: float | None = None
    positive_margin: float | None = None
    first_rank: int = 1
    last_rank: int = 1
    negatives: int = 1
    seed: int = 0
    none_left: str = "least_similar"  # least_similar | drop


@dataclass
class MediConfig:
    """Training data: where it comes from and where it is on disk."""

    source: str = "documentation"
    folder: str = "${paths.data}/${medi.source}"  # holds medi/ (Arrow), benchmark/{dev,test}/ and report.md
    rows_per_task: int = 400
    min_rows_per_task: int = 32
    workers: int = 2
    mining: MiningConfig = field(default_factory=MiningConfig)  # not file, whose rows have their negatives
    path: str | None = None  # file: a file, folder or hub id of MEDI as others give it; None: medi.folder is built
    max_rejected: float = 0.01  # file: share of the rows that may be unusable before the whole is refused
    root: str | None = None  # super_ni, and mixture and full to join it: the original repository, or a compact copy
    tasks: list[str] | None = None  # super_ni: which of its tasks are built, names or patterns with *; None: all
    instances_per_task: int = 6500  # super_ni and views: read of a task or set; more are drawn from
    text_output: str = (
        "inputs"  # super_ni, where outputs are texts: inputs (those with like outputs) | outputs (with their input)
    )
    instructions: dict[str, dict[str, str]] = field(default_factory=dict)  # super_ni: task -> what the rule gets wrong
    pairs: str | None = None  # super_ni, mixture and full: a folder of pairs to add
    instances_of_pairs: int = 5000  # read of a file of pairs
    pair_instructions: dict[str, dict[str, dict[str, str]]] = field(
        default_factory=dict
    )  # file of query and positive -> query and document -> parts of the template
    views: str | None = None  # super_ni, mixture and full: a folder of view sets to add (see ViewsConfig)
    view_sets: list[str] | None = None  # which of them; None: those of views.sets whose part is train
    leakage: str | None = None  # not documentation: a benchmark folder; what overlaps with it is dropped
    hub: dict[str, HubDatasetConfig] = field(default_factory=dict)  # task name -> data set
    datasets: list[str] | None = None  # which of them; None: all


@dataclass
class SamplerConfig:
    """Which rows share a batch; the strategies are told in ``one_embedder.medi.batches.strategies``."""

    global_batch_size: int = 32
    strategy: str = "proportional"  # proportional | uniform | temperature | capped | released | mixed
    temperature: float | None = None  # of strategy temperature: weights are rows ** (1 / temperature)
    cap: int | None = None  # of strategy capped: rows that a task counts as, at most
    tasks: list[str] | None = None  # which tasks are trained on, names or patterns with *; None: all
    symmetric: bool | None = None  # only tasks whose two sides have one instruction, or (False) only others; None: all


@dataclass
class LossConfig:
    """Contrastive loss."""

    spelling: str = "released"
    bidirectional: bool = True  # also find the query of a positive; False: the documents of a query only
    temperature: float = 0.01
    learn_temperature: bool = False  # temperature is then where it begins
    gather_negatives: bool = False  # candidates from all devices, with their gradient; False: from a device's own rows
    hard_negatives: bool = True  # False: the rows' own negatives are no candidates
    other_instruction_negatives: bool = False  # a further candidate: the query's text under another task's instruction
    mask_same_text: bool = False  # leave out in-batch negatives whose text is also a right answer
    mask_same_label: bool = False  # leave out in-batch negatives of the row's own class, where the data name classes
    mask_margin: float | None = None  # leave out negatives more similar than the positive by more than this


@dataclass
class OptimizerConfig:
    """AdamW."""

    learning_rate: float = 2e-5
    weight_decay: float = 0.01
    layer_decay: float = 1.0  # each layer learns so many times as fast as the one above it; 1: all alike
    frozen_layers: int = 0  # lowest transformer layers (and the word embeddings with them) left as they are
    dropout: bool = True  # False: no dropout while training, a fifth less time on a CPU


@dataclass
class ScheduleConfig:
    """Linear warm-up, then linear decay to zero."""

    warmup_ratio: float = 0.1


@dataclass
class EarlyStoppingConfig:
    """Evaluation while training: the best encoder is kept in ``best/``, beside the last one in ``checkpoint/``."""

    every_n_steps: int | None = None  # how often; None: never
    patience: int | None = 5  # ends training after so many evaluations in a row without a better score; None: does not
    root: str | None = None  # benchmark folder, scored by the mean of its category means; None: below medi.folder
    tasks: list[str] | None = None  # which of its tasks; None: all


@dataclass
class TrainerConfig:
    """Arguments of the Lightning trainer."""

    max_steps: int = 200
    share_of_steps: bool = False  # True: only the part of max_steps that the chosen tasks have in a run over all tasks
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"  # 32-true | bf16-mixed; a CPU without bfloat16 takes a hundred times longer with it
    gradient_clip_val: float | None = 1.0
    mini_batch_size: int | None = None  # texts embedded at a time, with the whole batch's exact gradient (GradCache)
    accumulate_grad_batches: int = 1  # batches of a step, each contrasted in itself
    backbone_share: float = 0.0  # of the saved weights: mixed with the backbone's, as WiSE-FT does; 0: as trained
    gradient_checkpointing: bool = False  # compute activations again instead of keeping them: less memory, more time
    log_every_n_steps: int = 10
    checkpoint_every_n_steps: int = 50
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    max_length: int | None = 64  # training tokens per text, instruction included


@dataclass
class InstructionsConfig:
    """Evaluation instructions: a table of task, or category -> side -> instruction."""

    name: str = "none"
    table: dict[str, dict[str, Any]] = field(default_factory=dict)  # texts; in files also parts of the template


@dataclass
class TaskFolderConfig:
    """Where a task folder departs from its category's protocol; what another category reads is refused."""

    samples_per_label: int | None = None  # Classification: training texts of each label; None: 8
    splits: list[str] | None = None  # STS: files that are scored together; None: test
    ignore_identical_ids: bool | None = None  # Retrieval: a document with the query's own id is no answer; None: it is


@dataclass
class BenchmarkConfig:
    """Which tasks are scored."""

    name: str = "documentation"
    root: str = "${medi.folder}/benchmark/${benchmark.split}"
    split: str = "test"
    mteb: str | None = None  # a benchmark of mteb's registry; its tasks' data come from the hub
    folders: dict[str, str] = field(default_factory=dict)  # task -> category: which folders below root; none: all
    tasks: list[str] | None = None  # which of all these; None: all
    shares: int = 1  # among so many runs the tasks are divided, all with the same output
    share: int = 0  # which of them this run is; from 0
    protocol: dict[str, TaskFolderConfig] = field(default_factory=dict)  # by a task's name, or as MTEB spells it


@dataclass
class ViewSetConfig:
    """Texts with two or more labelings: what they are, and which purpose each labeling stands for."""

    part: str = MISSING  # train | dev | test: what the set is for
    text_type: str = MISSING  # of the instruction, as is the next
    domain: str | None = None
    objectives: dict[str, str] = MISSING  # labeling -> objective of its instruction; other labelings are not used


@dataclass
class ViewsConfig:
    """One text, many purposes: sets whose texts have several labelings, and how steering is measured on them."""

    name: str = "none"
    root: str | None = None  # holds <set>/texts.jsonl: {text, labels: {labeling: class}, split: train or test}
    sets: dict[str, ViewSetConfig] = field(default_factory=dict)
    part: str = "test"  # dev | test: whose sets are scored
    chosen: list[str] | None = None  # or these sets instead
    texts_per_set: int | None = 1000  # of the test texts, drawn; None: all
    neighbours: int = 10  # that vote about a text's class
    repeats: int = 5  # of each clustering, with another seed
    seed: int = 0  # of the draw and of the first clustering


@dataclass
class EvaluationConfig:
    """How tasks are scored."""

    batch_size: int = 64
    dtype: str = "float32"  # of the encoder's weights; bfloat16 and float16 are faster and move scores a little
    document_instructions: bool = True  # the published retrieval scores were probably computed without them
    instructions: str = "right"  # right | wrong (another task's) | shuffled (the words in another order)
    demonstrations: int = 1  # shown to the in-context learner for each test input of prompt retrieval


@dataclass
class PromptTaskConfig:
    """How one prompt retrieval task is run. Texts are templates over a row's fields: "{sentence1}", "{endings[0]}"."""

    retrieval_text: str | None = None  # what is embedded; None, for this and the next two: by the file's layout
    prompt: str | None = None  # the input as the learner sees it
    output: str | None = None
    remove_prefix: dict[str, str] = field(default_factory=dict)  # field -> what its text starts with, left out
    keep: dict[str, str] = field(default_factory=dict)  # field -> value of the eval rows that count, others left out
    pool_size: int | None = None  # rows drawn from the train file; None: all
    eval_size: int | None = None
    seed: int = 0  # of the draws
    group: str | None = None  # field of what the score is made over: the tenth percentile of the groups' means
    groups: int | None = None  # drawn, with `group_size` eval rows each
    group_size: int | None = None
    max_demonstrations: int | None = None  # of the most similar ones; None with a token budget: no limit
    token_budget: int | None = None  # demonstrations and test input together, in the learner's tokens
    tokens_per_demonstration: int | None = None  # longer ones are passed over
    skip_identical: bool = False  # pass over demonstrations of cosine 1; one with the test input's text always is
    centring: str = "none"  # none | separate (pool and eval each by their own mean) | pool (only the pool)
    labels: dict[str, str] = field(default_factory=dict)  # label in the data -> word in the prompt; scored by number
    options: str | None = None  # field with a row's own list of answers to choose from
    between: str = "\n\n\n"  # written between two demonstrations, and before the test input
    before_output: str = "\n"
    max_new_tokens: int = 64  # without labels or options the learner writes its answer
    stop: list[str] = field(default_factory=list)  # the answer ends before any of these
    stemmer: bool = False  # ROUGE-L of word stems


@dataclass
class LanguageModelConfig:
    """The causal language model of ``learner: model``: a hub id or a local folder."""

    name_or_path: str = "EleutherAI/gpt-j-6b"
    revision: str | None = None
    dtype: str = "float32"
    batch_size: int = 8


@dataclass
class PromptRetrievalConfig:
    """Prompt retrieval: the in-context learner, and the tasks that have their own protocol."""

    name: str = "none"
    learner: str = "nearest"  # nearest | vote (both copy a demonstration's output) | model
    model: LanguageModelConfig = field(default_factory=LanguageModelConfig)
    centring: str | None = None  # None: as each task says
    metric: str = "rouge_l"  # of words of a-z and 0-9, as published | rouge_l_unicode: of every script
    tasks: dict[str, PromptTaskConfig] = field(default_factory=dict)


@dataclass
class TableConfig:
    """What the results table is made of."""

    name: str = "table1"
    seeds: list[int] = field(default_factory=lambda: [0])
    bootstrap_resamples: int = 1000  # with fewer than 40 for each claim of a table, none can be supported
    confidence: float = 0.95
    expected: str = "experiments/expected/${table.name}_${profile}.yaml"  # from the project's root, as is the next
    published: str = "experiments/expected/paper_table2.yaml"
    published_models: str = (
        "experiments/expected/published_models.yaml"  # what profiles released and paper stand beside
    )
    backbone: str | None = None  # their first row, a hub id or a folder; None: what the model was finetuned from
    write_expected: bool = False  # record this run; later ones are judged by it and by those of other machines
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
    column: str = "average"


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

    specialists: str | None = None  # axis whose levels are the kinds, but for the generalist's; None: not asked for
    generalist: dict[str, str] = field(default_factory=dict)  # cell: trained on all tasks, without instructions
    instructed: dict[str, str] = field(default_factory=dict)  # cell: the same with instructions
    backbone: str = ""  # reference
    mirrors: dict[str, list[str]] = field(default_factory=dict)  # kind -> tasks of the benchmark made the same way


@dataclass
class AblationConfig:
    """What an ablation varies, trains, evaluates and claims; a file in ``conf/ablation`` sets it."""

    name: str = ""  # of the file; empty: there is no ablation
    question: str = ""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    axes: dict[str, AxisConfig] = field(default_factory=dict)
    references: dict[str, dict[str, Any]] = field(default_factory=dict)  # untrained models: name -> settings
    claims: dict[str, ClaimConfig] = field(default_factory=dict)
    published: list[PublishedPointConfig] = field(default_factory=list)
    headroom: HeadroomConfig = field(default_factory=HeadroomConfig)
    child: str | None = None  # the one that this job runs; None: tabulate those that ran


@dataclass
class TrackingConfig:
    """Weights & Biases; the run record and CSV metrics are always written."""

    wandb: str = "offline"  # disabled | offline | online
    project: str = "one-embedder"
    group: str | None = None  # runs that belong together, such as a sweep's; None: the table's, for what it runs
    tags: list[str] = field(default_factory=list)  # beside profile, encoder, side and loss
    checkpoints: bool = True  # online: send the trained encoder too


@dataclass
class PathsConfig:
    """Where things are written; relative paths start at the project's root."""

    data: str = "data"
    experiments: str = "experiments"


@dataclass
class AboutConfig:
    """What a profile is and what it takes, in words; printed, never computed with."""

    description: str = ""
    command: str = ""
    hardware: str = ""
    time: str = ""


@dataclass
class Config:
    """Everything a verb can be told."""

    profile: str = "documentation"
    seed: int = 0
    output: str | None = None
    with_instructions: bool = True
    instruction_detail: str = "detailed"  # detailed | simple (domain and kind of text) | tag (the task's name)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    medi: MediConfig = field(default_factory=MediConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
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
