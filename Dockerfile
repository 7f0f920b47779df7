FROM python:3.11-slim

WORKDIR /easel
COPY . .
RUN pip install --no-cache-dir -e . && useradd --create-home easel && chown -R easel outputs && mkdir .easel && chown easel .easel
USER easel

# models/ and outputs/ are meant to be mounted: docker run -p 127.0.0.1:7860:7860 -v ./models:/easel/models -v ./outputs:/easel/outputs easel
EXPOSE 7860
ENTRYPOINT ["python", "webui.py"]
CMD ["--listen"]
