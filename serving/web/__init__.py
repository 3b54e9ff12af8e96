"""Owns `python -m serving.web`: the page for people, which sends its photos to the gateway.

| module | owns |
|---|---|
| `gateway` | calls of the gateway, and one sentence for each error |
| `plain_text` | text from outside, as Markdown that shows it unchanged |
| `answers` | an answer on the page: the path and the bars |
| `similar` | similar products with their photos |
| `page` | the page: photos in, an answer or an error out |
| `script` | what Streamlit runs for each visitor and each change |

It decodes no photo before the gateway has accepted it.
"""
