from __future__ import annotations

import torch

torch.set_num_threads(1)  # such small models only lose time to threads
