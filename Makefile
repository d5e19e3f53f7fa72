# The project's commands. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: up down status test test-quick lint unit bench audit help

up: ## build and start the lab, run site.yml on it, show what runs where
	@scripts/up

down: ## remove the lab (EMPTY=1: its volumes too, PURGE=1: its images and keys too)
	@EMPTY=$(EMPTY) PURGE=$(PURGE) scripts/down

status: ## show what runs where
	@.venv/bin/ansible-playbook playbooks/status.yml

test: ## lint, unit tests, module tests and molecule scenarios
	@scripts/test

test-quick: ## for daily work: lint, unit tests, and site.yml on the lab if it is up
	@scripts/test-quick

lint: ## check the style of everything
	@scripts/lint

unit: ## unit tests, with every supported Python that is here
	@scripts/unit

bench: ## measure, print a table, write build/bench.json
	@scripts/bench

audit: ## what lynis and testssl.sh say of the lab
	@scripts/audit

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
