"""From what was written down to what a model can use: scikit-learn transformers, fitted on training data alone.

- `tables`: rows of patients: implausible values, a selection that is stable.
- `series`: hours of a stay, arrays of shape (n, hours, variables): any table's transformer hour by hour, carrying
  forward, summaries that make a table.
- `signals`: ECG and EEG, arrays (n, samples, channels): filters and another sampling rate.
- `pictures`: DICOM and NIfTI files, windows, sizes, identity removed.

Where scikit-learn has a step already (`RobustScaler`, `SimpleImputer`, `IterativeImputer`, `SelectKBest`,
`SelectFromModel`), use that one: it stands in the same pipeline. Explained in lesson 2.
"""
