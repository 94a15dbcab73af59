"""Pages that people look at: one self-contained HTML file each, with every figure as SVG, PNG and CSV beside it."""
