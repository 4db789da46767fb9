"""Helpers shared by the lessons of Medical Deep Learning Notebooks.

The modules in the order in which data flows; each imports only from those above it:
`catalog`, `fetch`, `hospital`, `datasets`, `preprocess`, `models`, `training`, `evaluate`,
`plots`, `lessons`, `progress`, `exercise`, `report`, `handouts`, `classroom`, `cli`. Importing `medkit` itself loads
none of them.
"""

import sys
import warnings

__version__ = "0.1.0"

# jsonschema tries this import for grammars that no notebook needs; without it each start is 1.3 s shorter.
sys.modules.setdefault("rfc3987_syntax", None)

# fastai still calls torch.jit, and says so on standard error, with a path, in the first cell.
warnings.filterwarnings("ignore", message=r".*torch\.jit", category=FutureWarning)
warnings.filterwarnings("ignore", message=r".*torch\.jit", category=DeprecationWarning)
# pooch asks tqdm for a notebook's bar; without ipywidgets tqdm says where it is installed, and draws a plain bar.
warnings.filterwarnings("ignore", message="IProgress not found")
