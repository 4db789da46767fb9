"""Helpers shared by the lessons of Medical Deep Learning Notebooks.

The modules in the order in which data flows; each imports only from those above it:
`catalog`, `fetch`, `hospital`, `datasets`, `preprocess`, `models`, `training`, `evaluate`,
`plots`, `lessons`, `progress`, `exercise`, `report`, `handouts`, `classroom`, `cli`. Importing `medkit` itself loads
none of them.
"""

import warnings

__version__ = "0.1.0"

# fastai still calls torch.jit, and says so on standard error, with a path, in the first cell.
warnings.filterwarnings("ignore", message=r".*torch\.jit", category=FutureWarning)
warnings.filterwarnings("ignore", message=r".*torch\.jit", category=DeprecationWarning)
# pooch asks tqdm for a notebook's bar; without ipywidgets tqdm says where it is installed, and draws a plain bar.
warnings.filterwarnings("ignore", message="IProgress not found")
