-- Rows as input: whole rows, records, jsonb, wherever a call may stand.

-- whole row of a table [ordered]
SELECT id, predict_class(c, 'stays'), predict_value(c, 'worth'), predict_probabilities(c, 'stays') FROM customers AS c ORDER BY id;

-- with other columns beside it [ordered]
SELECT c.*, predict_value(c, 'worth') FROM customers AS c ORDER BY id;

-- two rows of one query [ordered]
SELECT a.id, predict_value(a, 'worth'), predict_value(b, 'worth') FROM customers AS a JOIN customers AS b ON b.id = a.id + 1 ORDER BY a.id;

-- condition
SELECT count(*), sum(id) FROM customers AS c WHERE predict_class(c, 'stays') = 'stays' AND id > 10;

-- condition and value [ordered]
SELECT id, predict_value(c, 'worth') FROM customers AS c WHERE predict_value(c, 'worth') > 1 ORDER BY id;

-- join condition
SELECT count(*) FROM orders AS o JOIN customers AS c ON c.id = o.customer AND predict_class(c, 'stays') = 'leaves';

-- outer join, where rows are missing [ordered]
SELECT o.id, predict_class(c, 'stays') FROM orders AS o LEFT JOIN customers AS c ON c.id = o.customer AND c.id % 2 = 0 ORDER BY o.id;

-- join of what is predicted
SELECT count(*) FROM customers AS a JOIN visits AS b ON predict_class(a, 'stays') = predict_class(b, 'stays') AND a.id = b.id;

-- aggregate arguments
SELECT round(sum(predict_value(c, 'worth'))::numeric, 6), count(predict_class(c, 'stays')), max(predict_class(c, 'stays')) FROM customers AS c;

-- filtered aggregate
SELECT round(sum(predict_value(c, 'worth')) FILTER (WHERE id % 3 = 0)::numeric, 6), count(*) FROM customers AS c;

-- group by [ordered]
SELECT predict_class(c, 'stays') AS class, count(*), min(id) FROM customers AS c GROUP BY 1 ORDER BY 1;

-- having, distinct, order by [ordered]
SELECT DISTINCT ON (class) class, id FROM (SELECT predict_class(c, 'stays') AS class, id FROM customers AS c) AS s ORDER BY class, id;

-- window function [ordered]
SELECT id, rank() OVER (ORDER BY predict_value(c, 'worth'), id) FROM customers AS c ORDER BY id;

-- limit [ordered]
SELECT id, predict_value(c, 'worth') FROM customers AS c ORDER BY id LIMIT 7 OFFSET 3;

-- row of a subquery [ordered]
SELECT id, predict_value(s, 'worth') FROM (SELECT id, price * 2 AS price, country, member, since FROM customers) AS s ORDER BY id;

-- row of a subquery that stays one [ordered]
SELECT id, predict_value(s, 'worth') FROM (SELECT id, price, country, member, since FROM customers ORDER BY id OFFSET 5) AS s ORDER BY id;

-- row of a CTE [ordered]
WITH s AS MATERIALIZED (SELECT id, price, country, member, since FROM customers) SELECT id, predict_value(s, 'worth') FROM s ORDER BY id;

-- row of an aggregation [ordered]
SELECT s.country, predict_value(s, 'worth') FROM (SELECT country, avg(price) AS price, bool_or(member) AS member, max(since) AS since FROM customers GROUP BY 1) AS s ORDER BY 1;

-- row of a join [ordered]
SELECT j.id, predict_value(j, 'worth') FROM (SELECT o.id, o.amount AS price, c.country, c.member, c.since FROM orders AS o JOIN customers AS c ON c.id = o.customer) AS j ORDER BY j.id;

-- row of a join alias [ordered]
SELECT j.id, predict_class(j, 'stays') FROM (customers AS c JOIN (SELECT customer FROM orders) AS o ON o.customer = c.id) AS j ORDER BY j.id;

-- row of VALUES [ordered]
SELECT v.price, predict_value(v, 'worth') FROM (VALUES (1.5, 'AT', true, NULL::date), (NULL, 'DE', NULL, date '2024-02-29')) AS v (price, country, member, since) ORDER BY 1;

-- row of a union [ordered]
SELECT u.id, predict_value(u, 'worth') FROM (SELECT id, price, country::text, member, since FROM customers UNION ALL SELECT id + 1000, price::numeric, country, member, since FROM visits) AS u ORDER BY 1;

-- row of a view [ordered]
SELECT id, predict_value(s, 'worth') FROM shown AS s ORDER BY id;

-- a view that asks [ordered]
SELECT id, answer FROM judged WHERE answer = 'stays' ORDER BY id;

-- row of a function in FROM [ordered]
SELECT id, predict_class(f, 'stays') FROM customers_of('AT') AS f ORDER BY id;

-- row that a function returns [ordered]
SELECT i, predict_value(one_customer(i), 'worth') FROM generate_series(1, 9) AS i ORDER BY i;

-- row given to a function of SQL [ordered]
SELECT id, class_of(c) FROM customers AS c ORDER BY id;

-- row that is made [ordered]
SELECT id, predict_value(ROW(id, price, country, member, since, note, double_price)::customers, 'worth') FROM customers ORDER BY id;

-- row that is missing [ordered]
SELECT id, predict_value(CASE WHEN id % 2 = 0 THEN c END, 'worth') FROM customers AS c ORDER BY id;

-- row of NULLs
SELECT predict_value(ROW(NULL, NULL, NULL, NULL, NULL, NULL, NULL)::customers, 'worth'), predict_value(NULL::customers, 'worth');

-- partitions [ordered]
SELECT id, predict_value(v, 'worth') FROM visits AS v ORDER BY id;

-- one partition [ordered]
SELECT id, predict_value(v, 'worth') FROM visits_high AS v ORDER BY id;

-- inheritance [ordered]
SELECT id, predict_value(p, 'worth') FROM parents AS p ORDER BY id;

-- jsonb of a row [ordered]
SELECT id, predict_value(to_jsonb(c), 'worth'), predict_class(to_jsonb(c), 'stays') FROM customers AS c ORDER BY id;

-- jsonb that is built [ordered]
SELECT id, predict_value(jsonb_build_object('price', price, 'country', country, 'member', member, 'since', since), 'worth') FROM customers ORDER BY id;

-- what if [ordered]
SELECT id, predict_value(to_jsonb(c) || '{"price": 20}', 'worth') - predict_value(to_jsonb(c), 'worth') FROM customers AS c ORDER BY id;

-- model by column [ordered]
SELECT c.id, m.name, predict_value(c, m.name) FROM customers AS c, (VALUES ('worth'), ('worth@1')) AS m (name) ORDER BY 1, 2;

-- text beside a row [ordered]
SELECT id, predict_class(c, 'stays'), predict_class(c.country::text || ' is fine', 'shop') FROM customers AS c ORDER BY id;

-- set-returning function of an answer [ordered]
SELECT c.id, e.key FROM customers AS c, jsonb_each(predict_probabilities(c, 'stays')) AS e ORDER BY 1, 2;

-- lateral [ordered]
SELECT o.id, s.answer FROM orders AS o, LATERAL (SELECT predict_class(c, 'stays') AS answer FROM customers AS c WHERE c.id = o.customer OFFSET 0) AS s ORDER BY o.id;

-- subquery in the target list [ordered]
SELECT o.id, (SELECT predict_class(c, 'stays') FROM customers AS c WHERE c.id = o.customer) FROM orders AS o ORDER BY o.id LIMIT 50;

-- returning
INSERT INTO customers (id, price, country, member) VALUES (1001, 3, 'FR', true), (1002, NULL, NULL, NULL) RETURNING id, predict_value(customers, 'worth');
UPDATE customers AS c SET price = price + 1 WHERE id < 20 RETURNING id, predict_value(c, 'worth');
DELETE FROM customers AS c WHERE predict_class(c, 'stays') = 'leaves' RETURNING id, predict_value(c, 'worth');

-- insert from a query
CREATE TABLE kept AS SELECT id, predict_class(c, 'stays') AS answer FROM customers AS c;
INSERT INTO kept SELECT id, predict_class(v, 'stays') FROM visits AS v;
SELECT * FROM kept;

-- columns that come, go and change their names [ordered]
PREPARE ask AS SELECT id, predict_value(c, 'worth') FROM customers AS c ORDER BY id;
EXECUTE ask;
ALTER TABLE customers ADD COLUMN early int DEFAULT 5, ADD COLUMN late timestamptz DEFAULT '2022-02-02 00:00+00';
EXECUTE ask;
ALTER TABLE customers RENAME since TO before;
ALTER TABLE customers RENAME late TO since;
EXECUTE ask;
ALTER TABLE customers DROP double_price;
ALTER TABLE customers ALTER price TYPE float8;
EXECUTE ask;

-- cursor in steps [ordered]
DECLARE c CURSOR FOR SELECT id, predict_class(c, 'stays') FROM customers AS c ORDER BY id;
FETCH c;
FETCH 5 FROM c;
FETCH 100 FROM c;
CLOSE c;

-- variables of PL/pgSQL
DO $$ DECLARE c customers; r record; found text := ''; BEGIN FOR c IN SELECT * FROM customers WHERE id < 5 LOOP c.price := 5; found := found || predict_class(c, 'stays'); END LOOP; SELECT 1.5 AS price, 'AT' AS country, true AS member, now() AS since INTO r; found := found || predict_class(r, 'stays'); CREATE TABLE said AS SELECT found; END $$;
SELECT * FROM said;
