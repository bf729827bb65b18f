#!/usr/bin/env bash
# Ten writers at full speed, with a kept column and without, one after the other in each round: what they lose, how far the column
# lags behind, how many updates stay in their page (HOT), and what is left of the table's size. Run against a database whose server
# the usual PG* variables name; it makes and drops schema kept_bench.
#
#     benches/kept_columns/writers.sh [SECONDS [ROUNDS]]
set -euo pipefail

seconds=${1:-60} rounds=${2:-3}
ask() { psql -XAtq -v ON_ERROR_STOP=1 -c "$1"; }
script=$(mktemp)
trap 'rm -f "$script"' EXIT

# Half of the statements insert a review, half change one, a quarter of these its text.
cat >"$script" <<'SQL'
\set id random(1, 10000)
\set other random(1, 1000000000)
\set kind random(1, 8)
\if :kind <= 4
INSERT INTO kept_bench.reviews (body) VALUES ('The delivery was late but it is fine, order ' || :other);
\elif :kind = 5
UPDATE kept_bench.reviews SET body = 'I changed my mind, it broke, order ' || :other WHERE id = :id;
\else
UPDATE kept_bench.reviews SET likes = likes + 1 WHERE id = :id;
\endif
SQL

prepare() {
    ask "DROP SCHEMA IF EXISTS kept_bench CASCADE; CREATE SCHEMA kept_bench;
         CREATE TABLE kept_bench.reviews (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text, likes int DEFAULT 0)
             WITH (fillfactor = 80);
         INSERT INTO kept_bench.reviews (body) SELECT 'Works as it should, order ' || i FROM generate_series(1, 10000) AS i;" 2>/dev/null
    ask "CHECKPOINT"
}
write() { pgbench -n -f "$script" -c 10 -j 2 -T "$seconds" 2>/dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p'; }
stale() { ask "SELECT count(*) FROM kept_bench.reviews WHERE stars_model IS NULL"; }

for round in $(seq "$rounds"); do
    echo "round $round, load $(cut -d' ' -f1 /proc/loadavg)"
    prepare
    echo "without: $(write) transactions a second"
    prepare
    ask "SELECT ecommerce_ml.keep_column('kept_bench.reviews', 'stars', 'ecommerce_ml.predict_rating(body)')"
    ask "SELECT ecommerce_ml.refresh_column('kept_bench.reviews', 'stars')"
    echo "with: $(write) transactions a second"
    echo "stale rows at the end: $(stale) of $(ask 'SELECT count(*) FROM kept_bench.reviews')"
    began=$(date +%s.%N)
    ask "SELECT ecommerce_ml.refresh_column('kept_bench.reviews', 'stars')"
    echo "fresh after $(echo "$(date +%s.%N) - $began" | bc) s"
    sleep 1
    echo "updates, and those in the same page: $(ask "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
                                                      WHERE relid = 'kept_bench.reviews'::regclass")"
    before=$(ask "SELECT pg_relation_size('kept_bench.reviews')")
    ask "VACUUM FULL kept_bench.reviews"
    echo "bytes of the table: $before, packed anew: $(ask "SELECT pg_relation_size('kept_bench.reviews')")"
done
ask "DROP SCHEMA kept_bench CASCADE" 2>/dev/null
