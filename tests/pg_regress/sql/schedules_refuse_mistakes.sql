-- What is wrong with a schedule is said when it is made, not when it is run.
CREATE TABLE marked (body text, stars integer);
SELECT ecommerce_ml.schedule_training('shop', '0 3 * * 0', 'marked', 'body', 'stars');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.schedule_training(NULL, NULL, 'marked', 'body', 'stars');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.schedule_training('Shop', NULL, 'marked', 'body', 'stars');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.schedule_training('shop', NULL, 'marked', 'text', 'stars');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.schedule_training('shop', NULL, 'marked', 'body', 'stars', 'ranking');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.schedule_training('shop', NULL, 'marked', 'body', 'stars', base => 'nosuch');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.schedule_training('shop', NULL, 'marked', 'body', 'stars', options => '{"num_train_epochs": 0}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.schedule_training('shop', NULL, 'marked', 'body', 'stars', options => '{"where": "posted > 1"}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.schedule_training('shop', NULL, 'marked', 'body', 'stars', options => '{"deploy": "maybe"}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.schedule_training('shop', NULL, 'marked', 'body', 'stars', min_new_rows => -1);
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.run_scheduled_training('shop');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.unschedule_training('shop');

-- A model with a schedule would come back after it was dropped.
\set source 'file://' :models '/bert-classification-3'
SELECT ecommerce_ml.import_model('shop', :'source');
SELECT ecommerce_ml.schedule_training('shop', NULL, 'marked', 'body', 'stars', base => 'shop', min_new_rows => 100);
SELECT ecommerce_ml.run_scheduled_training('shop');
SELECT name, cron, relation, text_column, label_column, task, base, options, min_new_rows, last_job, last_outcome
FROM ecommerce_ml.training_schedules;
SELECT ecommerce_ml.drop_model('shop');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.unschedule_training('shop');
SELECT ecommerce_ml.drop_model('shop');
DROP TABLE marked;
