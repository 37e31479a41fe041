"""The benchmark: the only package that knows both the environments and the policies."""

import os

# PyTorch's threads wait for each other hundreds of times an update. OpenMP's default of spinning
# 300,000 rounds makes an update many times as long where another program uses a core; sleeping at
# once made one 1.8 times as long on two free cores. So: spin shortly, then sleep. OpenMP reads this
# once, so it must stand before the first import of torch.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
