"""What the choices of this project cost, as ratios within one run."""
