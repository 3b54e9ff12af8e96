"""The fields of responses, with examples: what the OpenAPI document and its page show."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

_Seconds = Annotated[float, Field(ge=0)]
_Confidence = Annotated[
    float, Field(ge=0, le=1, description='Calibrated probability of the category, 0 to 1.')
]
_CategoryId = Annotated[
    int | str, Field(description="The shop's category id; text where the ids are not numbers.")
]
_Index = Annotated[int, Field(ge=0, description='Row of the category in category_names.csv.')]
_ResponseTime = Annotated[
    _Seconds,
    Field(description='From the headers of the request to the answer, upload included.'),
]
_InferenceTime = Annotated[_Seconds, Field(description="The model's server, network included.")]

_EXAMPLE: dict[str, Any] = {
    'category_index': 3,
    'confidence': 0.972,
    'category_id': 1000002770,
    'category_level1': 'VETEMENTS',
    'category_level2': 'PIECES LONGUES',
    'category_level3': 'ROBE',
    'response_time': 0.0312,
    'model_inference_time': 0.0271,
}
_TIMES = {'response_time': 0.0412, 'model_inference_time': 0.0361}
_MODEL: dict[str, Any] = {'name': 'product_categories', 'version': '1'}


class PhotoPrediction(BaseModel):
    """The most probable category of one photo. Times are in seconds.

    A tree with more than three levels adds `category_level4` and so on.
    """

    model_config = ConfigDict(
        extra='allow', json_schema_extra={'examples': [_EXAMPLE]}, protected_namespaces=()
    )

    category_index: _Index
    confidence: _Confidence
    category_id: _CategoryId
    category_level1: str
    category_level2: str = Field(description='Empty below the end of a short path.')
    category_level3: str = Field(description='Empty below the end of a short path.')
    response_time: _ResponseTime
    model_inference_time: _InferenceTime


class Category(BaseModel):
    """One category of an answer."""

    category_index: _Index
    category_id: _CategoryId
    confidence: _Confidence
    path: list[str] = Field(description='Names from level 1 down to the category.')


class Sure(BaseModel):
    """The deepest level of the tree that the model is sure of."""

    level: int = Field(ge=0, description='From 1; 0 if it is sure of none.')
    path: list[str] = Field(description='Names from level 1 to this level.')


class Model(BaseModel):
    """The model that answered."""

    name: str
    version: str = Field(description='Empty if the server does not give it.')


class ProductPrediction(BaseModel):
    """The categories of one product, from all its photos. Times are in seconds."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            'examples': [
                {
                    'categories': [
                        {
                            'category_index': 3,
                            'category_id': 1000002770,
                            'confidence': 0.972,
                            'path': ['VETEMENTS', 'PIECES LONGUES', 'ROBE'],
                        }
                    ],
                    'sure': {'level': 3, 'path': ['VETEMENTS', 'PIECES LONGUES', 'ROBE']},
                    'photos': 2,
                    'model': _MODEL,
                    **_TIMES,
                }
            ]
        },
    )

    categories: list[Category] = Field(description='The most probable first.')
    sure: Sure
    photos: int = Field(ge=1)
    model: Model
    response_time: _ResponseTime
    model_inference_time: _InferenceTime


class SimilarProduct(BaseModel):
    """A product of the index."""

    product_id: int | str = Field(description="The shop's id of the product.")
    similarity: float = Field(ge=-1, le=1, description='Cosine of the embeddings; 1 is equal.')
    category_id: int | str | None = Field(description='Null in unlabelled data.')
    path: list[str] = Field(description='Names from level 1 down to the category.')
    thumbnail: str = Field(description='Path of a small picture.')


class Index(BaseModel):
    """The index that was searched."""

    version: int
    products: int


class SimilarProducts(BaseModel):
    """The most similar products, the most similar first. Times are in seconds."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            'examples': [
                {
                    'products': [
                        {
                            'product_id': 4711,
                            'similarity': 0.983,
                            'category_id': 1000002770,
                            'path': ['VETEMENTS', 'PIECES LONGUES', 'ROBE'],
                            'thumbnail': '/v1/similar/4711/thumbnail',
                        }
                    ],
                    'photos': 1,
                    'index': {'version': 1, 'products': 8495},
                    **_TIMES,
                }
            ]
        },
    )

    products: list[SimilarProduct]
    photos: int = Field(ge=1)
    index: Index
    response_time: _ResponseTime
    model_inference_time: _InferenceTime


class Health(BaseModel):
    """State of the gateway."""

    model_config = ConfigDict(json_schema_extra={'examples': [{'status': 'ok'}]})

    status: str


class Error(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(
        json_schema_extra={
            'examples': [
                {
                    'error': 'shoe.jpg is damaged (truncated); send the original file.',
                    'reason': 'corrupt',
                    'photo': 'shoe.jpg',
                }
            ]
        }
    )

    error: str = Field(description='One sentence for people.')
    reason: str = Field(description='One word for programs.')
    photo: str | None = Field(default=None, description='Name of the photo, if one is the cause.')


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the errors of a path, for its description."""
    return {status: {'model': Error, 'description': _DESCRIPTIONS[status]} for status in statuses}


_DESCRIPTIONS = {
    400: 'The form cannot be read.',
    401: 'The API key is missing or unknown.',
    404: 'The gateway has no index, or the index has no such product.',
    408: 'The photos did not arrive in time.',
    413: 'A photo or the request is too large, or has too many photos.',
    422: 'A photo is not a usable picture, or a field is missing.',
    429: 'Too many requests; see the header Retry-After.',
    500: 'An error of the gateway.',
    502: 'The model gave no usable answer.',
    503: 'The model is not available; see the header Retry-After.',
    504: 'The model did not answer in time.',
}
