# Common commands; `make` alone lists them.
PYTHON_BIN := .venv/bin/python
export MUJOCO_GL ?= egl

.DEFAULT_GOAL := help
GAZEBO ?= yes
JOBS ?= 3

.PHONY: help setup gazebo demo session test test-pythons interop bench lint format constraints launch-test clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## set up the environment in .venv (options PYTHON=, TORCH=, TORCH_INDEX=; see scripts/setup)
	@scripts/setup

gazebo:  ## set up Gazebo in .gazebo, for the tests and for simulator:=gazebo_classic (1 GB; see scripts/gazebo)
	@scripts/gazebo

demo: setup  ## demonstrate, record, train and run one task in simulation; writes demo/index.html
	@$(PYTHON_BIN) -m il_ros.cli.main demo $(ARGS)

session: setup  ## correct a running policy by keys, in simulation (ARGS="--task drive"; ? lists the keys)
	@$(PYTHON_BIN) -m il_ros.cli.main session run $(ARGS)

test: setup  ## run all tests, three files at once (ARGS="test/episodes -k recover" selects; GAZEBO=no; JOBS=1)
	@[ "$(GAZEBO)" = no ] || scripts/gazebo --optional
	@$(PYTHON_BIN) -m pytest -n $(JOBS) $(ARGS)

test-pythons:  ## run all tests on other Pythons, with the package index's own torch (3 GB each; PYTHONS="python3.12 ...")
	@scripts/test-pythons

interop: setup  ## check data exchange with the real LeRobot, in an environment of its own (1.5 GB; see scripts/interop)
	@scripts/interop

bench: setup gazebo  ## run bench/*.py, JSON output (50 minutes on an idle computer); bench/learning is run by hand
	@set -e; for script in bench/*.py; do echo "# $$script"; $(PYTHON_BIN) $$script $(ARGS); done

lint: setup  ## check style and types
	@$(PYTHON_BIN) -m ruff check . && $(PYTHON_BIN) -m ruff format --check . && $(PYTHON_BIN) -m mypy il_ros
	@$(PYTHON_BIN) -m mypy --config-file bench/mypy.ini bench examples
	@$(PYTHON_BIN) -m mypy --config-file bench/mypy.ini test/support

format: setup  ## format the files
	@$(PYTHON_BIN) -m ruff check --fix . && $(PYTHON_BIN) -m ruff format .

constraints:  ## write constraints/ for PYTHON= with the newest versions; run the tests before committing it
	@scripts/constraints

launch-test: setup  ## test the launch files (needs launch: an installed ROS 2)
	@$(PYTHON_BIN) -m pytest test/launch -rs $(ARGS)

clean:  ## remove build products; keeps recordings and Gazebo (.gazebo)
	rm -rf .venv build install log *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
