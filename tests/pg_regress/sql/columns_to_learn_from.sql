-- What is wrong with the columns of a training is said when it is asked for.
CREATE TABLE customers (name text, age integer, spent numeric, member boolean, since date, profile json, churned text);
-- Neither a text nor a label.
SELECT ecommerce_ml.train_model('churn', 'customers', feature_columns => '{age}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', 'name');
\echo :LAST_ERROR_SQLSTATE
-- Columns that aren't there, or are named twice, or are no columns.
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age,income}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'left', feature_columns => '{age}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age}', time_column => 'at');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age,spent,age}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age,NULL}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{}');
\echo :LAST_ERROR_SQLSTATE
-- The label can't be learned from itself.
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age,churned}');
\echo :LAST_ERROR_SQLSTATE
-- Types that models don't read.
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age,profile}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age}', time_column => 'age');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', 'age', 'churned', feature_columns => '{spent}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'name', task => 'regression', feature_columns => '{age}');
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE profiles (profile json, churned text);
SELECT ecommerce_ml.train_model('churn', 'profiles', label_column => 'churned');
\echo :LAST_ERROR_SQLSTATE
-- Keys tell rows apart, and aren't learned from; a text has none.
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age,name}', key_columns => '{name}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age}', key_columns => '{nosuch}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', 'name', 'churned', key_columns => '{age}');
\echo :LAST_ERROR_SQLSTATE
-- What only begins with a text model takes a base, and other words for texts.
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age}', base => 'reviews');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age}', base => 'nosuch');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age}', options => '{"augment": {"word_dropout": 0.1}}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.train_model('churn', 'customers', label_column => 'churned', feature_columns => '{age}', options => '{"where": "age >"}');
\echo :LAST_ERROR_SQLSTATE
-- A schedule is as careful, and keeps what it was asked for.
SELECT ecommerce_ml.schedule_training('churn', NULL, 'customers', label_column => 'churned', feature_columns => '{income}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.schedule_training('churn', NULL, 'customers', label_column => 'churned', time_column => 'since', min_new_rows => 5);
SELECT ecommerce_ml.run_scheduled_training('churn');
SELECT text_column, label_column, task, base, options, feature_columns, key_columns, time_column, last_outcome
FROM ecommerce_ml.training_schedules;
SELECT ecommerce_ml.unschedule_training('churn');
-- What was not trained is not trained again.
SELECT ecommerce_ml.retrain_model('churn');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.retrain_model('reviews');
\echo :LAST_ERROR_SQLSTATE
DROP TABLE customers, profiles;
