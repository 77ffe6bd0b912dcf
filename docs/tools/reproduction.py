"""What a full reproduction of DistilBERT costs: tokens, FLOPs, memory, bytes, hours.

    python docs/tools/reproduction.py     # the tables of docs/reproduction.md

Counted from the shapes; rates are makers' peaks times a stated share. Nothing was run on a GPU.
"""

from dataclasses import dataclass

# Devlin et al. 2018, section 3.1: BookCorpus 800 M words, English Wikipedia 2,500 M. 1.17 word
# pieces a word, measured on every eighth State of the Union message, BERT's uncased vocabulary.
WORDS, PIECES_PER_WORD, EPOCHS = 3.3e9, 1.17, 3
DIM, HIDDEN, VOCABULARY, LENGTH = 768, 3072, 30522, 128
STUDENT_LAYERS, TEACHER_LAYERS = 6, 12
STUDENT_PARAMETERS, TEACHER_PARAMETERS = 66_985_530, 109_514_298  # with the masked-LM head
TOKENS_PER_RANK = 16_384  # of a batch
# NVIDIA's data sheets, dense half-precision FLOP/s of the tensor cores.
V100, H100 = 125e12, 989e12


def forward_flops(layers: int) -> float:
    """FLOPs of a token through so many blocks: two for each weight, and attention."""
    weights = 4 * DIM * DIM + 2 * DIM * HIDDEN
    attention = 2 * 2 * LENGTH * DIM  # scores and context, over the mean length
    return layers * (2 * weights + attention)


HEAD = 2 * (DIM * DIM + DIM * VOCABULARY)
# Forward and backward of the student cost three forwards; the teacher has no backward. The head is
# needed everywhere: the cross-entropy with the teacher is over all tokens.
FLOPS_PER_TOKEN = 3 * (forward_flops(STUDENT_LAYERS) + HEAD) + forward_flops(TEACHER_LAYERS) + HEAD
TOKENS = WORDS * PIECES_PER_WORD * EPOCHS


@dataclass(frozen=True)
class Cluster:
    """GPUs that work together.

    Attributes:
        name: In the table.
        gpus: How many.
        peak: FLOP/s of one.
        share: Of the peak that is reached.
    """

    name: str
    gpus: int
    peak: float
    share: float

    @property
    def hours(self) -> float:
        """Until the whole run is done."""
        return TOKENS * FLOPS_PER_TOKEN / (self.gpus * self.peak * self.share) / 3600


# The original says 8 V100 of 16 GB for about 90 hours: what share of the peak was that?
ORIGINAL_SHARE = TOKENS * FLOPS_PER_TOKEN / (8 * V100 * 90 * 3600)
CLUSTERS = [
    Cluster("8 V100, as published", 8, V100, ORIGINAL_SHARE),
    Cluster("8 H100 at the original's share", 8, H100, ORIGINAL_SHARE),
    Cluster("8 H100 at 30 %", 8, H100, 0.3),
    Cluster("64 H100 at 20 %", 64, H100, 0.2),
]


def memory() -> dict[str, float]:
    """Bytes on one rank under DDP, by what they hold."""
    rows = TOKENS_PER_RANK
    return {
        "student: weights, gradients, two moments in float32": 16 * STUDENT_PARAMETERS,
        "teacher: weights in float32": 4 * TEACHER_PARAMETERS,
        "student's activations: 34 D bytes a token and layer": 34 * DIM * rows * STUDENT_LAYERS,
        "logits: both in bfloat16, both soft in float32, one gradient": 14 * rows * VOCABULARY,
    }


def main() -> None:
    """Print the tables."""
    print("| what | how many |\n|---|--:|")
    print(f"| tokens, {EPOCHS} epochs | {TOKENS / 1e9:.1f} billion |")
    print(f"| FLOPs a token | {FLOPS_PER_TOKEN / 1e9:.2f} billion |")
    print(f"| FLOPs | {TOKENS * FLOPS_PER_TOKEN:.1e} |")
    print("\n| cluster | share of peak | hours | all-reduced a step and rank |\n|---|--:|--:|--:|")
    for cluster in CLUSTERS:
        # A ring sends and receives every gradient, but for its own share, twice.
        sent = 2 * (cluster.gpus - 1) / cluster.gpus * 4 * STUDENT_PARAMETERS
        share = f"{cluster.share:.1%}"
        print(f"| {cluster.name} | {share} | {cluster.hours:.1f} | {sent / 1e6:.0f} MB |")
    print(f"\n| memory of a rank, {TOKENS_PER_RANK:,} tokens a batch | GB |\n|---|--:|")
    for name, size in memory().items():
        print(f"| {name} | {size / 1e9:.2f} |")
    print(f"| sum | {sum(memory().values()) / 1e9:.2f} |")


if __name__ == "__main__":
    main()
