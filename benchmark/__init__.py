"""The benchmark: the only package that knows both the environments and the policies."""

import os

# PyTorch's threads wait for each other hundreds of times an update. Where they wait by spinning and
# something else uses a core, an update took up to 16 times as long; sleeping costs next to nothing.
# OpenMP reads this once, so it must stand before the first import of torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
