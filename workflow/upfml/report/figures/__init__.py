"""The figures: one module each, one style. `draw` takes tables and returns a figure, `style.save` writes it."""
