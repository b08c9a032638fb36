# What a newcomer types. `make` alone lists it.
PYTHON_BIN := .venv/bin/python
export MUJOCO_GL ?= egl

.DEFAULT_GOAL := help
GAZEBO ?= yes

.PHONY: help setup gazebo demo session test bench lint format launch-test clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## the environment in .venv (PYTHON=, TORCH=, TORCH_INDEX= choose; see scripts/setup)
	@scripts/setup

gazebo:  ## a real Gazebo in .gazebo, for the tests and for simulator:=gazebo_classic (1 GB; see scripts/gazebo)
	@scripts/gazebo

demo: setup  ## show, record, train and run one task in simulation; writes demo/index.html
	@$(PYTHON_BIN) -m il_ros.cli.main demo $(ARGS)

session: setup  ## correct a policy while it runs: your keys, in simulation (ARGS="--task drive"; ? shows the keys)
	@$(PYTHON_BIN) -m il_ros.cli.main session run $(ARGS)

test: setup  ## every test (ARGS="test/episodes -k recover" narrows it; GAZEBO=no: without Gazebo)
	@[ "$(GAZEBO)" = no ] || scripts/gazebo --optional
	@$(PYTHON_BIN) -m pytest $(ARGS)

bench: setup gazebo  ## bench/*.py, as JSON (40 minutes; a quiet machine); bench/learning is started by hand
	@set -e; for script in bench/*.py; do echo "# $$script"; $(PYTHON_BIN) $$script $(ARGS); done

lint: setup  ## the style and type rules
	@$(PYTHON_BIN) -m ruff check . && $(PYTHON_BIN) -m ruff format --check . && $(PYTHON_BIN) -m mypy il_ros

format: setup  ## rewrite the files to the style rules
	@$(PYTHON_BIN) -m ruff check --fix . && $(PYTHON_BIN) -m ruff format .

launch-test: setup  ## the launch files, for real (needs launch: an installed ROS 2)
	@$(PYTHON_BIN) -m pytest test/launch -rs $(ARGS)

clean:  ## remove what was built, not what was recorded, nor Gazebo (.gazebo)
	rm -rf .venv build install log *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
