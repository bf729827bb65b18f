-- Trains `reviews_small` by `train_model` from what `reviews` says, in any database that has the extension.
--
--     ROWS=rows.csv psql -v base=/folder/of/base.py -v out=/empty/folder -v epochs=2 -f train.sql
--
-- `rows.py --all` of `reviews` writes the rows, of which only texts are used, and `base.py` the model to begin with; `base` and `out` are
-- folders of the server's. Prints how far each epoch's stars are from those of `reviews` on validation rows.

\set ON_ERROR_STOP on
\timing on
DROP TABLE IF EXISTS small_rows CASCADE;
CREATE TABLE small_rows (text text, stars numrange, source text, split text);
\copy small_rows FROM PROGRAM 'cat "$ROWS"' WITH (FORMAT csv, HEADER)

-- Expected stars of `reviews`, which lie between two. Rows of a later day are held out.
CREATE TABLE small_learned AS
SELECT text, ecommerce_ml.predict_rating(text, 'reviews') AS stars, date '2000-01-01' + (split = 'valid')::int AS day
FROM small_rows
WHERE split IN ('train', 'valid');

SELECT ecommerce_ml.import_model('small_base', 'file://' || :'base');
-- calibrate.py of `reviews` calibrates, on true stars.
SELECT ecommerce_ml.train_model('small_again', 'small_learned', 'text', 'stars', 'rating', 'small_base', jsonb_build_object(
    'deploy', 'always', 'eval_fraction', 0.05, 'num_train_epochs', :epochs, 'per_device_train_batch_size', 32, 'max_length', 128,
    'learning_rate', 1.5e-4, 'warmup_ratio', 0.06, 'weight_decay', 0.01, 'hidden_dropout', 0,
    'metric_for_best_model', 'mae', 'calibration', 'none', 'seed', 20240511), time_column => 'day') AS job \gset
SELECT ecommerce_ml.wait_for_job(:job);
SELECT outcome, error, detail, ended - started AS duration FROM ecommerce_ml.jobs WHERE job = :job;
SELECT epoch, training_loss, loss, mae, best, seconds FROM ecommerce_ml.job_metrics WHERE job = :job ORDER BY epoch;
SELECT ecommerce_ml.export_model('small_again', :'out');
