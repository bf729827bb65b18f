-- Progress in a line; of a job that isn't there, the error of cancel_job.
CREATE TABLE visits (pages int, bought boolean);
INSERT INTO visits SELECT n % 10, n % 10 > 4 FROM generate_series(1, 200) AS n;
SELECT ecommerce_ml.train_model('buyers', 'visits', label_column => 'bought', feature_columns => '{pages}', options => '{"deploy": "never"}') AS job \gset
SELECT ecommerce_ml.wait_for_job(:job);
SELECT ecommerce_ml.progress(:job), length(ecommerce_ml.progress(:job)) <= 80 AS fits;
SELECT ecommerce_ml.progress(NULL);
SELECT ecommerce_ml.progress(0);
SELECT ecommerce_ml.cancel_job(0);
