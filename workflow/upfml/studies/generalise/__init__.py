"""Does the forest generalise? Its decisions on scenarios that it was not trained on: judged, and told on a page."""
