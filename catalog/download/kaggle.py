"""Asks Kaggle, by its own client kagglesdk, where a file of a competition is.

Credentials are those of Kaggle's tools: `KAGGLE_API_TOKEN`, `KAGGLE_USERNAME` with `KAGGLE_KEY`,
`~/.kaggle/access_token` or `~/.kaggle/kaggle.json`.
"""

import os

from catalog.errors import UserError


def find_url(competition: str, name: str) -> str:
    """Returns the signed URL of a file. It is valid for a limited time.

    Raises:
      UserError: If kagglesdk or credentials are missing, the rules of the competition are not
        accepted, or it has no such file.
      requests.RequestException: If Kaggle does not answer, or has an error of its own.
    """
    try:
        import requests
        from kagglesdk import KaggleClient
        from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFileRequest
    except ModuleNotFoundError as error:
        raise UserError(
            "catalog.download needs the package kagglesdk; install it with pip install '.[kaggle]'"
        ) from error
    request = ApiDownloadDataFileRequest()
    request.competition_name, request.file_name = competition, name
    user, key = os.environ.get('KAGGLE_USERNAME'), os.environ.get('KAGGLE_KEY')
    with KaggleClient(username=user, password=key) as client:
        try:
            response = client.competitions.competition_api_client.download_data_file(request)
        except requests.HTTPError as error:
            if error.response is not None and (why := _REFUSALS.get(error.response.status_code)):
                raise UserError(f'{name}: {why.format(competition=competition)}') from error
            raise
    response.close()  # the client followed the redirection; only where it led to is wanted
    return str(response.url)


_REFUSALS = {
    401: 'Kaggle must know you, but the credentials are missing or wrong; set KAGGLE_API_TOKEN, '
    'which https://www.kaggle.com/settings creates',
    403: 'the rules of the competition must be accepted; accept them once at '
    'https://www.kaggle.com/c/{competition}/rules',
    404: 'must be a file of {competition}, got another name',
}
