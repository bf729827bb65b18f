-- What comes after the model's window counts too.
SELECT ecommerce_ml.predict_sentiment_score(repeat('It is a kettle. ', 100))
     > ecommerce_ml.predict_sentiment_score(repeat('It is a kettle. ', 100)
       || repeat('It is awful, it broke, I hate it, never again! ', 40)) AS the_end_is_read;
SELECT ecommerce_ml.token_count(repeat('It is a kettle. ', 100)) AS tokens,
       (SELECT max_length FROM ecommerce_ml.model_versions WHERE name = 'reviews') AS window;
