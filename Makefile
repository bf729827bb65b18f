# What can be done with a clone; the work itself is in scripts/.
#
#   PG_CONFIG=/path/to/pg_config   which PostgreSQL to build for (default: the newest of Debian's that is here)
#   DESTDIR=/some/root             where `make install` puts its files, for packagers
#   BENCH_PEERS="--quick"          options for `make bench-peers`; scripts/bench-peers lists them
#   REGRESS="--with-extension"     options for `make test-regress`; scripts/test-regress lists them
#   SQLSMITH="--statements 20000"  options for `make test-sqlsmith`; scripts/test-sqlsmith lists them
#   CLIENTS="psycopg dbt"          which of them for `make test-clients`; scripts/test-clients lists them
#   BENCH_SQL="--quick"            options for `make bench-sql`; scripts/bench-sql lists them
#   BENCH_FORECAST="--ours"        options for `make bench-forecast`
#   BENCH_TRAINING="--quality"     options for `make bench-training`; scripts/bench-training lists them
#   BENCH_GPU="--engine PATH"      options for `make bench-gpu`; scripts/bench-gpu lists them
#   CARGO_TARGET_DIR=/some/folder  where artefacts are kept (default: target/, or a shared cache with CI=true)

ifdef PG_CONFIG
export PG_CONFIG
endif
ifdef DESTDIR
export DESTDIR
endif

.PHONY: help build engine-cuda install install-cuda uninstall demo psql stop test test-arm test-debian test-cuda test-regress test-sqlsmith test-clients bench bench-engine bench-peers bench-sql bench-training bench-forecast bench-queries bench-gpu lint setup clean

help: ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 22

build: setup ## build the extension and the engine
	@scripts/build

engine-cuda: ## build an engine that can use NVIDIA GPUs too; no GPU is needed for that
	@scripts/engine-cuda

install: build ## copy them, the SQL script and the built-in model into the server's folders
	@scripts/install

install-cuda: setup engine-cuda ## the same, with an engine that can use NVIDIA GPUs
	@scripts/build extension
	@scripts/install cuda

uninstall: ## remove them from there
	@scripts/uninstall

demo: install ## start a private cluster and predict the sentiment of a thousand reviews
	@scripts/demo run

psql: ## open a session in the demo's cluster
	@scripts/demo psql

stop: ## stop the demo's cluster
	@scripts/demo stop

test: ## run all tests (installs into the server's folders)
	@scripts/test

test-arm: ## test the kernels for 64-bit ARM under QEMU
	@scripts/test-arm

test-debian: ## do what the README says on a bare Debian: SUITE=bookworm, trixie or forky; needs root
	@scripts/test-debian $(SUITE)

test-cuda: ## run the engine's tests in the build that can use NVIDIA GPUs; no GPU is needed for that
	@scripts/engine-cuda test

test-regress: install ## run PostgreSQL's own tests with and without the library, and compare
	@scripts/test-regress $(REGRESS)

test-sqlsmith: install ## send random statements to a server with the library
	@scripts/test-sqlsmith $(SQLSMITH)

test-clients: install ## drive drivers, poolers and BI tools against a server with the extension
	@scripts/test-clients $(CLIENTS)

bench-engine: setup ## measure kernels and encoder against the machine's peak, tokenization, and models of columns
	@cargo bench --locked -p ecommerce_ml_text_model -p ecommerce_ml_checkpoint -p ecommerce_ml_tabular --bench kernels --bench tokenizer --bench columns

bench: install ## measure the engine alone and through SQL
	@scripts/bench

bench-peers: ## compare the engine with PyTorch, ONNX Runtime, OpenVINO and candle
	@scripts/bench-peers $(BENCH_PEERS)

bench-sql: install ## measure through SQL, beside the engine alone, PL/Python and a client script
	@scripts/bench-sql $(BENCH_SQL)

bench-training: ## compare training with PyTorch
	@scripts/bench-training $(BENCH_TRAINING)

bench-forecast: ## forecast the M3 and Tourism competitions, beside statsforecast
	@scripts/bench-forecast $(BENCH_FORECAST)

bench-gpu: ## compare the engine on a GPU with PyTorch
	@scripts/bench-gpu $(BENCH_GPU)

bench-queries: install ## measure queries beside a training
	@scripts/bench-queries

lint: setup ## formatting, clippy, licences
	@scripts/lint

setup: ## install what is missing of the Debian packages that a build needs
	@scripts/setup

clean: ## remove the artefacts of this clone and the demo's cluster
	@scripts/demo remove
	@cargo clean
