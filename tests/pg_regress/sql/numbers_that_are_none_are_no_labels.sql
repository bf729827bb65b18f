-- NaN and infinity in a column of numbers are no classes; in a column of texts they are words.
\set three 'file://' :models '/bert-classification-3'
SELECT ecommerce_ml.import_model('odd', :'three', '{"labels": ["1", "NaN", "Infinity"]}');
CREATE TABLE marked (body text, real_label real, label numeric, word text);
INSERT INTO marked SELECT 'Good. ' || i, 1, 1, '1' FROM generate_series(1, 10) AS i;
SELECT metric, value FROM ecommerce_ml.evaluate_model('odd', 'marked', 'body', 'real_label') WHERE metric = 'count';
INSERT INTO marked VALUES ('Bad.', 'NaN', 'NaN', 'NaN'), ('Awful.', 'Infinity', NULL, 'Infinity');
SELECT ecommerce_ml.evaluate_model('odd', 'marked', 'body', 'real_label');
SELECT ecommerce_ml.confusion_matrix('odd', 'marked', 'body', 'label');
SELECT ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'real_label');
SELECT metric, value FROM ecommerce_ml.evaluate_model('odd', 'marked', 'body', 'word') WHERE metric = 'count';
SELECT ecommerce_ml.evaluate_predictions('marked', 'real_label', 'label');
SELECT metric, value FROM ecommerce_ml.evaluate_predictions('marked', 'word', 'word') WHERE metric IN ('count', 'accuracy');
