CREATE TYPE country AS ENUM ('AT', 'DE', 'FR');
CREATE DOMAIN price AS numeric(10, 2) CHECK (VALUE >= 0);
CREATE TABLE customers (
    id int PRIMARY KEY, gone text, price price, country country, member boolean, since timestamptz, note text,
    double_price numeric GENERATED ALWAYS AS (price * 2) STORED);
INSERT INTO customers (id, gone, price, country, member, since, note)
SELECT i, 'x', nullif(i % 23, 0) + (i % 7) / 10.0, (enum_range(NULL::country))[1 + i % 3], nullif(i % 5, 0) < 3,
       CASE WHEN i % 11 > 0 THEN timestamptz '2020-01-01 00:00+00' + i * interval '17 hours' END,
       repeat('note ', 1 + i % 400)
FROM generate_series(1, 600) AS i;
ALTER TABLE customers DROP COLUMN gone;
CREATE TABLE orders (id int, customer int, amount numeric);
INSERT INTO orders SELECT i, 1 + i * 7 % 600, i % 90 FROM generate_series(1, 900) AS i;
CREATE TABLE visits (id int, price float8, country text, member boolean, since timestamp) PARTITION BY RANGE (id);
CREATE TABLE visits_low PARTITION OF visits FOR VALUES FROM (0) TO (150);
CREATE TABLE visits_high (since timestamp, extra int, id int, member boolean, country text, price float8);
ALTER TABLE visits_high DROP COLUMN extra;
ALTER TABLE visits ATTACH PARTITION visits_high FOR VALUES FROM (150) TO (1000);
INSERT INTO visits SELECT i, i % 30, (ARRAY['AT', 'DE', 'XX'])[1 + i % 3], i % 2 = 0, timestamp '2024-05-05' + i * interval '1 hour'
FROM generate_series(1, 300) AS i;
CREATE TABLE parents (id int, price int, country varchar(5), member boolean, since date);
CREATE TABLE children (nickname text) INHERITS (parents);
INSERT INTO parents SELECT i, i, 'DE', true, date '2024-01-01' + i FROM generate_series(1, 50) AS i;
INSERT INTO children SELECT i, i, 'AT', false, NULL, 'child' FROM generate_series(51, 100) AS i;
CREATE VIEW judged AS SELECT c.*, ecommerce_ml.predict_class(c, 'stays') AS answer FROM customers AS c;
CREATE VIEW shown AS SELECT id, price, country::text, member, since FROM customers;
CREATE FUNCTION customers_of(text) RETURNS SETOF customers LANGUAGE sql STABLE
    AS $$ SELECT * FROM customers WHERE country::text = $1 $$;
CREATE FUNCTION one_customer(int) RETURNS customers LANGUAGE plpgsql STABLE
    AS $$ DECLARE c customers; BEGIN SELECT * INTO c FROM customers WHERE id = $1; RETURN c; END $$;
CREATE FUNCTION class_of(customers) RETURNS text LANGUAGE sql STABLE AS $$ SELECT ecommerce_ml.predict_class($1, 'stays') $$;
ANALYZE;
