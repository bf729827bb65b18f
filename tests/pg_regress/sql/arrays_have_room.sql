-- What can't fit into one value is refused before it is computed.
SET statement_timeout = '10s';
CREATE TABLE many AS SELECT array_agg('Good ' || i) AS bodies FROM generate_series(1, 60000) AS i;
SELECT ecommerce_ml.embed(bodies) FROM many;
SELECT ecommerce_ml.embed(bodies, 'reviews') FROM many;
SELECT jsonb_array_length(ecommerce_ml.embed(bodies[1:1001])) FROM many;
SELECT jsonb_array_length(ecommerce_ml.embed(array_fill(NULL::text, ARRAY[60000])));
