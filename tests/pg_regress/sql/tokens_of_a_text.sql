-- Tokens come with the special ones that the model adds, and are never cut.
SELECT ecommerce_ml.tokenize('The unbelievably good kettle!');
SELECT ecommerce_ml.token_ids('The unbelievably good kettle!');
SELECT ecommerce_ml.token_count('The unbelievably good kettle!');
SELECT ecommerce_ml.token_count(repeat('word ', 5000));
SELECT ecommerce_ml.tokenize('café ÉCLAIR 茶 👍');
