# Two commands matter: `make demo` and `make test`. Each sets up what it needs in .venv, and is quick the second time.

VENV    := .venv
BIN     := $(VENV)/bin
OUT     := out
SAMPLE  := docs/demo/voice.flac
# The first Python that Triton's Python models can run on.
PYTHON  ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
             $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
# The Python that has PyTorch with CUDA, for `make gpu`: whatever the machine with the GPU came with.
GPU_PYTHON ?= python3
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
TESTS   ?= tests
GLTF    := tests/gltf
AXE     := tests/page
CLIENTS := tests/clients
THREE   := client/emotalk_gateway/page/static/vendor/three

.DEFAULT_GOAL := help
.PHONY: help demo check test lint deploy-check configs protos docs figures bench gpu chaos hostile uploads locks queue capacity soak head faces screenshot vendor parity clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.10, 3.11 or 3.12 found; the server needs one (make PYTHON=/path/to/python3.12)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[server,plot]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[server,export,formats,gateway,a2f,kafka,text,plot,vmc,train,test]'
	@# TensorRT's parser, which needs no GPU: the check that the graphs stay acceptable to it.
	$(PIP) --no-deps tensorrt-rtx-cu12-libs tensorrt-rtx-cu12-bindings nvidia-cuda-runtime-cu12
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## Animate the sample voice: out/voice.npy, .csv, .json, .png
	$(BIN)/emotalk animate $(SAMPLE) -o $(OUT) --format npy,csv,json
	$(BIN)/emotalk plot $(OUT)/voice.npy --audio $(SAMPLE) -o $(OUT)/voice.png

# Khronos' glTF validator, and axe, which looks for what people with assistive technology cannot use. Where there is no
# npm, or its registry cannot be reached, the tests that need them say so and are skipped.
%/node_modules/.package-lock.json: %/package-lock.json
	npm ci --prefix $* --no-audit --no-fund --loglevel=error --fetch-retries=0 --fetch-timeout=20000 \
	  || echo "make: $* goes without its npm package; its tests are skipped" >&2

# Clients of others, unmodified, which their own pins would keep from being installed beside ours. Likewise skipped.
$(CLIENTS)/%/.installed: $(CLIENTS)/requirements-%.txt | $(BIN)/python
	@mkdir -p $(@D)
	$(PIP) --no-deps --upgrade --target $(@D) -r $< && touch $@ \
	  || echo "make: $(@D) goes without its packages; its tests are skipped" >&2

check: lint  ## Style, types, import rules, configs, and the tests that need nothing but the code (a minute)
	$(BIN)/python -m pytest -q -m unit $(TESTS)

test: $(VENV)/.test $(GLTF)/node_modules/.package-lock.json $(AXE)/node_modules/.package-lock.json $(CLIENTS)/nvidia/.installed $(CLIENTS)/a2f-client/.installed $(CLIENTS)/agents/.installed lint  ## Style, types, import rules, configs, and every test against a real server
	@# Most of the time the tests of servers wait; those of code alone run beside them.
	@log=$$(mktemp); $(BIN)/python -m pytest -q -m unit $(TESTS) >$$log 2>&1 & unit=$$!; \
	  $(BIN)/python -m pytest -m 'not full and not unit' $(TESTS); served=$$?; \
	  wait $$unit; unit=$$?; echo "make: those of code alone:"; cat $$log; rm -f $$log; \
	  [ $$unit != 5 ] || unit=0; [ $$served != 5 ] || served=0; [ $$unit = 0 ] && [ $$served = 0 ]

deploy-check: $(VENV)/.test  ## Dockerfiles, compose and Kubernetes files: accepted by their readers, and naming what exists (seconds; promtool if it is there)
	$(BIN)/python -m pytest -q tests/project/test_deploy.py tests/project/test_image.py

lint: $(VENV)/.test  ## Style, types, import rules, generated configs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	$(BIN)/python -m emotalk_contract.repository
	$(BIN)/python tools/commands_page.py
	$(BIN)/python tools/protos.py

configs: $(VENV)/.test  ## Write the generated config.pbtxt files, docs/protocol.md and docs/commands.md again
	$(BIN)/python -m emotalk_contract.repository --update
	$(BIN)/python tools/commands_page.py --update

protos: $(VENV)/.test  ## Compile the gateway's protos again
	$(BIN)/python tools/protos.py --update

docs: demo configs screenshot  ## Draw the README's pictures again
	cp $(OUT)/voice.png docs/demo/voice.png

screenshot: $(VENV)/.test  ## Take docs/viewer.png of the viewer (needs chromium and chromium-driver)
	$(BIN)/python tools/viewer_screenshot.py $(SAMPLE) docs/viewer.png

figures: $(VENV)/.test  ## Measure the tables and plots of docs/live.md, docs/networks.md, docs/gateway.md and docs/audio2face.md again (15 minutes, with nothing else running)
	$(BIN)/emotalk-perf streams $(SAMPLE) --path steps --path windows --page docs/live.md --block streams --plot docs/figures/streams.png
	$(BIN)/emotalk-perf equivalence $(SAMPLE) --repeat 6 --smooth --page docs/live.md --block bundled
	$(BIN)/emotalk-perf gateway $(SAMPLE) --page docs/gateway.md --block gateway
	$(BIN)/emotalk-perf barge-in $(SAMPLE) --page docs/live.md
	$(BIN)/emotalk-perf a2f $(SAMPLE) --page docs/audio2face.md
	mkdir -p $(OUT)
	$(BIN)/python tests/seeded.py small 7 $(OUT)/small.pth
	$(BIN)/emotalk-export --checkpoint $(OUT)/small.pth --repository $(OUT)/small --attention-heads 4
	$(BIN)/emotalk-perf equivalence $(SAMPLE) --repeat 6 --raw --repository $(OUT)/small --page docs/live.md --block emotalk \
	  --live default,default --live 4,1 --live 8,2 --live 0,100 \
	  --plot docs/figures/equivalence.png
	$(BIN)/python tests/seeded_lam.py small 7 $(OUT)/lam.tar
	$(BIN)/emotalk-export --lam $(OUT)/lam.tar --repository $(OUT)/lam --attention-heads 4
	$(BIN)/emotalk-perf equivalence $(SAMPLE) --repeat 6 --raw --repository $(OUT)/lam --page docs/networks.md --block lam-windows

bench: $(VENV)/.test  ## Measure the tables of README and docs/performance.md again (an hour, with nothing else running; 12 GB of disk, 12 GB of memory)
	$(BIN)/emotalk-perf load $(SAMPLE) --page docs/performance.md --block load --plot docs/figures/load.png
	mkdir -p $(OUT)/bench
	$(BIN)/python tests/seeded.py full 7 $(OUT)/bench/full.pth
	$(BIN)/python tests/seeded.py full 7 $(OUT)/bench/one.pth --one-frontend
	for precision in fp32 int8; do for weights in full one; do \
	  $(BIN)/emotalk-export --checkpoint $(OUT)/bench/$$weights.pth --repository $(OUT)/bench/$$weights-$$precision \
	    --precision $$precision || exit 1; \
	done; done
	$(BIN)/emotalk-perf compare $(SAMPLE) --checkpoint $(OUT)/bench/full.pth --page docs/performance.md --block compare --summary README.md \
	  --repository $(OUT)/bench/full-fp32 --repository $(OUT)/bench/full-int8
	$(BIN)/emotalk-perf compare $(SAMPLE) --checkpoint $(OUT)/bench/one.pth --page docs/performance.md --block one-frontend \
	  --repository $(OUT)/bench/one-fp32 --repository $(OUT)/bench/one-int8 --seconds 25
	$(BIN)/python tests/seeded_lam.py full 7 $(OUT)/bench/lam.tar
	for precision in fp32 int8; do \
	  $(BIN)/emotalk-export --lam $(OUT)/bench/lam.tar --repository $(OUT)/bench/lam-$$precision --precision $$precision || exit 1; \
	done
	$(BIN)/emotalk-perf compare $(SAMPLE) --checkpoint $(OUT)/bench/lam.tar --page docs/networks.md --block lam-speed --rounds 4 \
	  --repository $(OUT)/bench/lam-fp32 --repository $(OUT)/bench/lam-int8 --seconds 25
	$(BIN)/emotalk-perf lengths $(SAMPLE) --page docs/performance.md --block lengths --repository $(OUT)/bench/full-int8
	$(BIN)/emotalk-perf lengths $(SAMPLE) --page docs/performance.md --block hours --seconds 1,10,60,600,3600 \
	  --repository model_repository
	$(BIN)/emotalk-perf load $(SAMPLE) --page docs/performance.md --block models --protocol grpc --seconds 1,25 --concurrency 1,2 \
	  --requests 5 --repository $(OUT)/bench/full-fp32 --repository $(OUT)/bench/full-int8
	$(BIN)/emotalk-perf settings $(SAMPLE) --page docs/performance.md --block settings --rounds 4 \
	  --repository $(OUT)/bench/full-int8 --repository model_repository
	$(BIN)/emotalk-perf settings $(SAMPLE) --page docs/performance.md --block arena \
	  --repository $(OUT)/bench/full-fp32 --only "as in the contract" --only "every encoder all cores" --only arena --rounds 4
	$(BIN)/emotalk-perf memory $(SAMPLE) --page docs/performance.md --block memory \
	  --repository $(OUT)/bench/full-fp32 --repository $(OUT)/bench/full-int8

gpu:  ## Measure the networks on this machine's GPU, and renew that table of docs/performance.md (10 minutes; needs PyTorch with CUDA, nothing else)
	PYTHONPATH=perf:export:ensemble:client $(GPU_PYTHON) -m emotalk_perf.gpu --page docs/performance.md --block gpu

chaos: $(VENV)/.test  ## Kill every process under load, and renew that table of docs/reliability.md (8 minutes)
	$(BIN)/emotalk-perf chaos $(SAMPLE) --minutes 4 --page docs/reliability.md

hostile: $(VENV)/.test  ## Send what has killed it before, and renew that table of docs/reliability.md
	$(BIN)/emotalk-perf hostile $(SAMPLE) --page docs/reliability.md

uploads: $(VENV)/.test  ## Damage 5000 pictures and clips, have them decoded, and renew that table of docs/avatars.md (half an hour)
	$(BIN)/emotalk-perf uploads --page docs/avatars.md

locks: $(VENV)/.test  ## Ask with ten thousand wrong tokens, and renew that table of docs/security.md (a minute)
	$(BIN)/emotalk-perf locks --page docs/security.md

queue: $(VENV)/.test  ## Kill the workers of a queue under load, judge every answer, and renew the tables of docs/kafka.md (an hour)
	$(BIN)/emotalk-perf queue $(SAMPLE) --page docs/kafka.md
	$(BIN)/emotalk-perf queue $(SAMPLE) --throughput --no-transactions --clips 200 --page docs/kafka.md
	$(BIN)/emotalk-perf queue $(SAMPLE) --memory --page docs/kafka.md

capacity: $(VENV)/.test  ## Measure what this machine holds, and renew that table of docs/performance.md (8 minutes, with nothing else running)
	$(BIN)/emotalk-perf capacity $(SAMPLE) --page docs/performance.md

soak: $(VENV)/.test  ## Load it with everything for an hour, and renew that part of docs/performance.md (with nothing else running)
	$(BIN)/emotalk-perf soak $(SAMPLE) --page docs/performance.md --plot docs/figures/soak.png

head: $(VENV)/.demo  ## Build the client's head again from MakeHuman's CC0 data (fetches 48 MB)
	PYTHONPATH=tools $(BIN)/python -m head_builder

faces: $(VENV)/.test  ## Convert the face models again from Google's task file (fetches 3 MB), and what its interpreter answers
	$(PIP) tflite ai-edge-litert
	PYTHONPATH=tools $(BIN)/python -m face_models --goldens tests/data/faces

vendor:  ## Fetch the viewer's three.js again, at the version in tools/viewer
	npm ci --prefix tools/viewer --no-audit --no-fund --loglevel=error
	rm -rf $(THREE)
	cd tools/viewer/node_modules/three && for file in LICENSE build/three.module.min.js build/three.core.min.js \
	  examples/jsm/loaders/GLTFLoader.js examples/jsm/utils/BufferGeometryUtils.js examples/jsm/utils/SkeletonUtils.js; do \
	  install -Dm644 $$file $(CURDIR)/$(THREE)/$$file; done

parity: $(VENV)/.test  ## Every golden at the real size (builds a 2.5 GB checkpoint; 6 GB of memory, 15 minutes)
	$(BIN)/python -m pytest -m full $(TESTS)

clean:  ## Remove what the other targets made
	rm -rf $(VENV) $(OUT) $(GLTF)/node_modules $(AXE)/node_modules $(CLIENTS)/*/ tools/viewer/node_modules dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
