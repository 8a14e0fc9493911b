"""What tests read off a figure."""

from matplotlib.figure import Figure
from matplotlib.text import Text


def words(figure: Figure) -> str:
    """All that is written in it, wherever lines break."""
    return " ".join(word for text in figure.findobj(Text) for word in text.get_text().split())
