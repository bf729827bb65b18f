-- Trains the `reviews` model by `train_model`, in any database that has the extension; `train.py` is the reference.
--
--     ROWS=rows.csv psql -v base=/folder/of/all-MiniLM-L6-v2 -v out=/empty/folder -f train.sql
--
-- `labels.py` writes the rows; `base` and `out` are folders of the server's. Prints the correlation of expected with pseudo stars on the validation rows, by
-- which train.py is judged too.

\set ON_ERROR_STOP on
DROP TABLE IF EXISTS reviews_rows;
CREATE TABLE reviews_rows (text text, kind text, stars float8, split text);
\copy reviews_rows FROM PROGRAM 'cat "$ROWS"' WITH (FORMAT csv, HEADER)

SELECT ecommerce_ml.import_model('minilm', 'file://' || :'base');
SELECT ecommerce_ml.train_model('reviews_again', 'reviews_rows', 'text', 'stars', 'rating', 'minilm', '{
    "where": "split = ''train''", "deploy": "always", "eval_fraction": 0.04,
    "num_train_epochs": 3, "per_device_train_batch_size": 32, "max_length": 96,
    "learning_rate": 7e-5, "warmup_ratio": 0.06, "weight_decay": 0.01, "hidden_dropout": 0,
    "metric_for_best_model": "mae", "seed": 20240511}') AS job \gset
SELECT ecommerce_ml.wait_for_job(:job);
SELECT outcome, error, detail, ended - started AS duration FROM ecommerce_ml.jobs WHERE job = :job;
SELECT epoch, training_loss, loss, mae, best, seconds FROM ecommerce_ml.job_metrics WHERE job = :job ORDER BY epoch;

SELECT kind, count(*),
       round(corr(ecommerce_ml.predict_rating(text, 'reviews_again'), stars)::numeric, 4) AS r,
       round(avg(abs(ecommerce_ml.predict_rating(text, 'reviews_again') - stars))::numeric, 4) AS mae
FROM reviews_rows WHERE split = 'valid' GROUP BY kind;

SELECT ecommerce_ml.export_model('reviews_again', :'out');
