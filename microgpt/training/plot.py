"""loss.png: training and held-out loss over the steps, drawn where matplotlib is installed."""

from pathlib import Path

PLOT = "loss.png"


def save_loss_plot(directory: Path, training: list[tuple[int, float]], held_out: list[tuple[int, float]]) -> bool:
    """Whether loss.png was written into `directory`: not without matplotlib, which is optional.

    training, held_out: (steps done, loss in nats per token).
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(*zip(*training, strict=True), label="training", linewidth=1)
    if held_out:
        axes.plot(*zip(*held_out, strict=True), label="held out", marker="o", markersize=3)
    axes.set(xlabel="step", ylabel="loss (nats per token)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(directory / PLOT)
    return True
