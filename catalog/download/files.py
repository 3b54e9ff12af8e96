"""The files of Kaggle's "Cdiscount's Image Classification Challenge" and their SHA-256 in hex."""

COMPETITION = 'cdiscount-image-classification-challenge'
SHA256 = {
    'train.bson': '2b9ac4157e67fc96ab85ca99679b3b25cada589c4da6bb128fa006085b4cc42b',
    'test.bson': '844d3e13fa785498c2b153bc0edc942d14bbc95b92f30c827487ef096fd28a53',
    'category_names.csv': '84fe1e7334836d50ed04d475cfc525bccbe420f7242f85ca301b3f69294632c6',
    'train_example.bson': '5d54291c3704a755178d9c1cd8f877eaa6adbf207713988ca2bb5cd52aab7bdb',
}
