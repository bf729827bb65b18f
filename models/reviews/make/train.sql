-- Trains the `reviews` model by `train_model`, in any database that has the extension.
--
--     ROWS=rows.csv psql -v base=/folder/of/symbols.py -v out=/empty/folder -v epochs=3 -f train.sql
--
-- `rows.py` writes the rows and `symbols.py` the model to begin with; `base` and `out` are folders of the server's. Prints how far each epoch
-- is off on validation rows, which are of products that no training row is of.

\set ON_ERROR_STOP on
\timing on
DROP TABLE IF EXISTS reviews_rows CASCADE;
CREATE TABLE reviews_rows (text text, stars numrange, source text, split text);
\copy reviews_rows FROM PROGRAM 'cat "$ROWS"' WITH (FORMAT csv, HEADER)

-- A range of stars such as [4,5] is four or five, nobody knows which. Rows of a later day are held out: validation rows whose stars are known.
CREATE VIEW reviews_learned AS
SELECT text, stars, date '2000-01-01' + (split = 'valid')::int AS day
FROM reviews_rows
WHERE split = 'train' OR split = 'valid' AND lower(stars) = upper(stars);

SELECT ecommerce_ml.import_model('reviews_base', 'file://' || :'base');
-- calibrate.py calibrates, on true stars alone.
SELECT ecommerce_ml.train_model('reviews_again', 'reviews_learned', 'text', 'stars', 'rating', 'reviews_base', jsonb_build_object(
    'deploy', 'always', 'eval_fraction', 0.05, 'num_train_epochs', :epochs, 'per_device_train_batch_size', 32, 'max_length', 128,
    'learning_rate', 8e-5, 'warmup_ratio', 0.06, 'weight_decay', 0.01, 'hidden_dropout', 0.1,
    'metric_for_best_model', 'mae', 'calibration', 'none', 'seed', 20240511), time_column => 'day') AS job \gset
SELECT ecommerce_ml.wait_for_job(:job);
SELECT outcome, error, detail, ended - started AS duration FROM ecommerce_ml.jobs WHERE job = :job;
SELECT epoch, training_loss, loss, mae, best, seconds FROM ecommerce_ml.job_metrics WHERE job = :job ORDER BY epoch;
SELECT ecommerce_ml.export_model('reviews_again', :'out');
