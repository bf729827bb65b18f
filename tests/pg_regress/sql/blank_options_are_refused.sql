-- A condition, table or function without a name is a mistake that the caller hears of.
CREATE TABLE marked AS SELECT 'Good ' || i AS body, 1 + i % 5 AS stars FROM generate_series(1, 20) AS i;
SELECT ecommerce_ml.train_model('mine', 'marked', 'body', 'stars', options => '{"where": ""}');
SELECT ecommerce_ml.train_model('mine', 'marked', 'body', 'stars', options => '{"where": " \n"}');
SELECT ecommerce_ml.schedule_training('mine', NULL, 'marked', 'body', 'stars', options => '{"where": "\u200b"}');
SELECT ecommerce_ml.train_model('mine', 'marked', 'body', 'stars', options => '{"augment": {"synonym": 0.1, "synonym_table": ""}}');
SELECT ecommerce_ml.train_model('mine', 'marked', 'body', 'stars', options => '{"augment": {"back_translation": 0.1, "back_translation_function": " "}}');
SELECT ecommerce_ml.train_model('mine', 'marked', 'body', 'stars', base => '');
SELECT ecommerce_ml.train_model('', 'marked', 'body', 'stars');
SELECT ecommerce_ml.train_model('mine', 'marked', 'body', '');
SELECT count(*) FROM ecommerce_ml.jobs;
