-- What to order and at what price, from numbers; what changed, from rows.
SELECT round(ecommerce_ml.safety_stock(100, 20, lead_time => 4)::numeric, 4) AS safety,
       round(ecommerce_ml.reorder_point(100, 20, lead_time => 4, lead_time_sd => 1.5, review_period => 1)::numeric, 4) AS reorder_at,
       round(ecommerce_ml.newsvendor_quantity(100, 20, underage_cost => 3, overage_cost => 1)::numeric, 4) AS once,
       ecommerce_ml.newsvendor_quantity(ARRAY[0.1, 0.5, 0.9], ARRAY[60, 95, 160], 1, 1) AS of_quantiles,
       ecommerce_ml.optimal_price(-2, 5) AS price, ecommerce_ml.optimal_price(-2, 5, upper => 8) AS bounded;
SELECT ecommerce_ml.safety_stock(100, -20, 4);
SELECT ecommerce_ml.reorder_point(100, 20, 4, service_level => 1);
SELECT ecommerce_ml.optimal_price(-0.8, 5);
SELECT ecommerce_ml.newsvendor_quantity(100, 20, 0, 0);
CREATE TABLE sales AS SELECT p AS product, date '2024-01-01' + 7 * w AS week, CASE p WHEN 'lamp' THEN 10 + w ELSE 10 END AS sold, w >= 6 AS later
FROM unnest('{lamp,chair}'::text[]) AS p, generate_series(0, 11) AS w;
SELECT key, observations, period_unit, median, slope, direction FROM ecommerce_ml.trends('sales', 'product', 'week', 'sold');
SELECT segment, test_value, control_value, contribution, round(share::numeric, 2) AS share FROM ecommerce_ml.key_drivers('sales', 'sold', 'later', '{product}');
SELECT customer, recency, frequency, monetary, segment FROM ecommerce_ml.rfm('sales', 'product', 'week', 'sold', as_of => '2024-04-01');
SELECT * FROM ecommerce_ml.trends('sales', 'product', 'week', 'sold', period => 'fortnight');
SELECT * FROM ecommerce_ml.key_drivers('sales', 'sold', 'week', '{product}');
SELECT * FROM ecommerce_ml.rfm('sales', 'product', 'later');
