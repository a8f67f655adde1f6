"""minigrad.kernels.passes: the passes over graphs: differentiate, legalize, rematerialize, data flow."""
