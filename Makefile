# make       set up .venv
# make run   run the lessons, write reports/<date>/index.html
# make test  all checks
# make lab   JupyterLab on working copies in my-notebooks/ (NOTEBOOKS=FOLDER for another)
# make build build notebooks/ from lessons/ (for authors)
# make results  every lesson on real patients, to benchmarks/RESULTS.md (hours)
PYTHON ?= python3
BIN := .venv/bin
NOTEBOOKS ?= my-notebooks
OUT ?= reports/$(shell date +%Y-%m-%d_%H%M%S)

RESULTS ?= --effort full --seeds 3

.PHONY: setup run test lab build results
setup: .venv/ready
	@echo "Ready. Next: make lab, make run or make test"

run: .venv/ready
	@$(BIN)/medkit run --out $(OUT)

test: .venv/ready
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests notebooks/*.ipynb --nbval-lax --nbval-kernel-name medkit-warm -n 2 --dist loadfile

lab: .venv/ready
	@$(BIN)/python -m medkit.copies notebooks/exercises "$(NOTEBOOKS)"
	@$(BIN)/jupyter lab --notebook-dir="$(NOTEBOOKS)" --LabApp.default_url=/lab/tree/start.ipynb $(LAB_OPTIONS)

build: .venv/ready
	@$(BIN)/python -m medkit.build

results: .venv/ready
	@$(BIN)/python benchmarks/results.py $(RESULTS)

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 11) else "Python 3.11 is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,cluster]' -c constraints.txt
	@touch $@
