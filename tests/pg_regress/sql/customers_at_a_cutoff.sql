-- One row a customer: features from before the cutoff, labels from the time after it.
SET timezone = 'UTC';
CREATE TABLE orders (customer int, at timestamptz, amount numeric);
INSERT INTO orders VALUES (1, '2025-01-10', 10), (1, '2025-01-20', 30), (1, '2025-02-10', 20), (1, '2025-04-05', 7), (1, '2025-05-02', 1),
    (2, '2025-03-30', 'NaN'), (3, '2025-04-01', 9), (NULL, '2025-01-01', 1), (2, NULL, 1), (2, 'infinity', 1), (4, '2025-03-31 23:59:59.999999', NULL);
\x
SELECT * FROM ecommerce_ml.training_window('orders', 'customer', 'at', '2025-04-01', '30 days', 'amount');
\x
-- Without a horizon there are no labels.
SELECT customer, purchases, bought_again, next_purchases, next_amount FROM ecommerce_ml.training_window('orders', 'customer', 'at', '2025-05-01', NULL, 'amount');
SELECT customer, mean_amount, total_amount, next_amount FROM ecommerce_ml.training_window('orders', 'customer', 'at', '2025-04-01', '1 month');
-- Labels of a time that isn't over would be wrong.
\set VERBOSITY terse
SELECT customer, bought_again FROM ecommerce_ml.training_window('orders', 'customer', 'at', '2025-04-01', '60 days');
SELECT customer, bought_again FROM ecommerce_ml.training_window('orders', 'customer', 'at', '2025-04-01', '60 days', complete_until => '2025-06-01');
SELECT * FROM ecommerce_ml.training_window('orders', 'customer', 'at', '2025-04-01', '60 days', complete_until => '2025-05-30');
SELECT * FROM ecommerce_ml.training_window('orders', 'customer', 'at', '2025-04-01', '-1 day');
SELECT * FROM ecommerce_ml.training_window('orders', 'customer', 'at', '-infinity', '1 day');
SELECT * FROM ecommerce_ml.training_window('orders', 'customer', 'at', NULL, '1 day');
SELECT * FROM ecommerce_ml.training_window('orders', 'customer', 'amount', '2025-04-01', '1 day');
SELECT * FROM ecommerce_ml.training_window('orders', 'customer', 'at', '2025-04-01', '1 day', 'at');
SELECT * FROM ecommerce_ml.training_window('orders', 'client', 'at', '2025-04-01', '1 day');
DELETE FROM orders;
SELECT * FROM ecommerce_ml.training_window('orders', 'customer', 'at', '2025-04-01', '1 day');
