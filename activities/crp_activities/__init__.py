"""What touches the world: one effect a file. Knows `crp.stages`, not the workflows."""
