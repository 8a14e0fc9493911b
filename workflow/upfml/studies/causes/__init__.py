"""Where accuracy goes between scikit-learn on floats and the kernel as in the authors' code, from one trace."""
