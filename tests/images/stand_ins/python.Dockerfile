# Stands for python:3.11-slim-bookworm where no registry of images is reached: Debian's Python 3.11 where
# the official image has its own. `build.sh` makes base.tar.
FROM scratch
ADD base.tar /
RUN python3 -m venv --copies /usr/local && \
    ln -sf python3.11 /usr/local/bin/python3 && \
    ln -sf python3 /usr/local/bin/python
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8
CMD ["python3"]
