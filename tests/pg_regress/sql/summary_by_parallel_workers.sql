-- Workers count their part, and the leader adds up to the same.
CREATE TABLE review AS
    SELECT i % 7 AS product, (ARRAY['I love it', 'It broke', 'It is okay', NULL])[1 + i % 4] || ', number ' || i % 40 AS body
    FROM generate_series(1, 400) AS i;
ALTER TABLE review SET (parallel_workers = 2);
ANALYZE review;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE alone AS
    SELECT product, ecommerce_ml.summarize_reviews(body) AS s FROM review GROUP BY product;
CREATE TABLE alone_in_all AS SELECT ecommerce_ml.summarize_reviews(body, 'reviews') AS s FROM review;
SET max_parallel_workers_per_gather = 2;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT product, ecommerce_ml.summarize_reviews(body) AS s FROM review GROUP BY product;
-- To the last digit: the engine remembers its answers.
SELECT product, (together.s).reviews, alone.s = together.s AS same
FROM (SELECT product, ecommerce_ml.summarize_reviews(body) AS s FROM review GROUP BY product) AS together
JOIN alone USING (product) ORDER BY product;
EXPLAIN (COSTS OFF) SELECT ecommerce_ml.summarize_reviews(body, 'reviews') FROM review;
SELECT (together.s).reviews, alone.s = together.s AS same
FROM (SELECT ecommerce_ml.summarize_reviews(body, 'reviews') AS s FROM review) AS together, alone_in_all AS alone;
EXPLAIN (COSTS OFF) SELECT ecommerce_ml.rollup(s) FROM alone;
SET parallel_leader_participation = off;
SELECT (ecommerce_ml.rollup(s)).reviews FROM alone;
