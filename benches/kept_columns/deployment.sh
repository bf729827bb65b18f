#!/usr/bin/env bash
# Rows scored again after a deployment, while somebody reads: the worker's speed beside that of a SELECT that asks the same model, and
# what is left of the readers' speed. The model is one of columns, trained here; or the built-in one for texts, which has no second
# version, so it is asked about other texts. Run against a database whose server the usual PG* variables name; it makes and drops
# schema kept_bench and model kept_bench_model.
#
#     [RATE=TRANSACTIONS_A_SECOND] benches/kept_columns/deployment.sh [ROWS [texts]]
#
# Without RATE two readers read as fast as they can.
set -euo pipefail

rows=${1:-1000000} of=${2:-rows}
ask() { psql -XAtq -v ON_ERROR_STOP=1 -c "$1"; }
seconds() { # STATEMENT
    local began
    began=$(date +%s.%N)
    ask "$1" >/dev/null
    echo "$(date +%s.%N) - $began" | bc
}
script=$(mktemp)
trap 'rm -f "$script"' EXIT
printf '\\set id random(1, %d)\nSELECT * FROM kept_bench.orders WHERE id = :id;\n' "$rows" >"$script"
read_for() { pgbench -n -f "$script" -c 2 -j 1 ${RATE:+-R $RATE} -T "$1" 2>/dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p'; }

ask "DROP SCHEMA IF EXISTS kept_bench CASCADE; CREATE SCHEMA kept_bench;
     CREATE TABLE kept_bench.orders (id int PRIMARY KEY, amount numeric, method text, items int, body text) WITH (fillfactor = 80);
     INSERT INTO kept_bench.orders
     SELECT i, 20 + i * 37::bigint % 8000 / 10.0, (ARRAY['card', 'card', 'transfer'])[1 + i % 3], i % 7, 'It works as it should, order ' || i
     FROM generate_series(1, $rows) AS i" 2>/dev/null
ask "VACUUM ANALYZE kept_bench.orders"
train() { # OPTIONS
    local job
    job=$(ask "SELECT ecommerce_ml.train_model('kept_bench_model', 'kept_bench.orders', task => 'anomaly',
                   feature_columns => '{amount,method,items}', options => '{\"where\": \"id <= 20000\", $1}')")
    ask "SELECT ecommerce_ml.wait_for_job($job)" >/dev/null
}
if [ "$of" = rows ]; then
    train '"seed": 1'
    train '"seed": 2, "deploy": "never"'
    expression="ecommerce_ml.predict_value(orders, 'kept_bench_model')"
    deploy="SELECT ecommerce_ml.deploy_model('kept_bench_model', 2)"
else
    expression="ecommerce_ml.predict_rating(body)"
    deploy="SELECT ecommerce_ml.keep_column('kept_bench.orders', 'score', \$\$ecommerce_ml.predict_rating(body || ' again')\$\$)"
fi
taken=$(seconds "SELECT count($expression) FROM kept_bench.orders WHERE id <= $rows / 10")
echo "a SELECT: $(echo "$rows / 10 / $taken" | bc) rows a second"
ask "SELECT ecommerce_ml.keep_column('kept_bench.orders', 'score', \$\$$expression\$\$)"
echo "all rows, with nobody reading: $(echo "$rows / $(seconds "SELECT ecommerce_ml.refresh_column('kept_bench.orders', 'score')")" | bc) rows a second"
ask "VACUUM kept_bench.orders"
echo "readers alone: $(read_for 15) transactions a second"
ask "$deploy" >/dev/null
began=$(date +%s.%N)
echo "readers beside it: $(read_for 15) transactions a second"
fresh=$(ask "SELECT fresh FROM ecommerce_ml.kept_columns WHERE relation = 'kept_bench.orders'::regclass")
echo "rows, with readers: $(echo "$fresh / ($(date +%s.%N) - $began)" | bc) rows a second"
ask "DROP SCHEMA kept_bench CASCADE" 2>/dev/null
if [ "$of" = rows ]; then ask "SELECT ecommerce_ml.drop_model('kept_bench_model')"; fi
