using System.IO.Compression;
using System.Net;
using System.Net.Http.Headers;

namespace CaptionService.Api.Tests;

/// <summary>What browsers, proxies and libraries send that is not the plainest request.</summary>
public sealed class WebClientsTests(Service service)
{
    public const string Origin = "https://app.example";

    [Theory]
    [InlineData("/health/ready", HttpStatusCode.OK)]
    [InlineData("/models", HttpStatusCode.OK)]
    [InlineData("/models/none", HttpStatusCode.NotFound)]
    [InlineData("/captions", HttpStatusCode.MethodNotAllowed)]
    public async Task HEAD_is_GET_without_a_body(string path, HttpStatusCode status)
    {
        using var request = new HttpRequestMessage(HttpMethod.Head, path);
        using HttpResponseMessage response = await service.Client.SendAsync(request, Service.Cancellation);

        Assert.Equal(status, response.StatusCode);
        Assert.Empty(await response.Content.ReadAsByteArrayAsync(Service.Cancellation));
    }

    [Fact]
    public async Task OPTIONS_tells_the_methods()
    {
        using var request = new HttpRequestMessage(HttpMethod.Options, "/captions");
        using HttpResponseMessage response = await service.Client.SendAsync(request, Service.Cancellation);

        Assert.Equal(HttpStatusCode.NoContent, response.StatusCode);
        Assert.Contains("POST", response.Content.Headers.Allow);
    }

    [Theory]
    [InlineData(Origin, Origin)]
    [InlineData("https://other.example", null)]
    public async Task A_page_of_an_allowed_origin_may_call(string origin, string? allowed)
    {
        using var preflight = new HttpRequestMessage(HttpMethod.Options, "/captions");
        preflight.Headers.Add("Origin", origin);
        preflight.Headers.Add("Access-Control-Request-Method", "POST");
        preflight.Headers.Add("Access-Control-Request-Headers", "content-type");
        using HttpResponseMessage answer = await service.Client.SendAsync(preflight, Service.Cancellation);
        Assert.Equal(HttpStatusCode.NoContent, answer.StatusCode);
        Assert.Equal(allowed, Header(answer, "Access-Control-Allow-Origin"));

        // What is refused can be read there too.
        using var request = new HttpRequestMessage(HttpMethod.Get, "/models/none");
        request.Headers.Add("Origin", origin);
        using HttpResponseMessage refused = await service.Client.SendAsync(request, Service.Cancellation);
        Assert.Equal((HttpStatusCode.NotFound, allowed), (refused.StatusCode, Header(refused, "Access-Control-Allow-Origin")));
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("br")]
    [InlineData("deflate")]
    [InlineData("zstd")]
    public async Task A_compressed_body_is_read(string coding)
    {
        Answer photo = await Send(Compress(Photos.Sample("cat"), coding), coding, "image/jpeg");
        Assert.Equal(await service.BestOf("cat"), photo.Best());

        using HttpContent form = Service.Form([("cat.jpg", Photos.Sample("cat"))]);
        Answer formed = await Send(Compress(await form.ReadAsByteArrayAsync(Service.Cancellation), coding), coding, form.Headers.ContentType!.ToString());
        Assert.Equal(await service.BestOf("cat"), formed.Best());
    }

    [Fact]
    public async Task A_bomb_ends_at_the_limit_of_what_comes_out()
    {
        byte[] bomb = Compress("gzip", new SameByte(0, 200_000_000));
        (await Send(bomb, "gzip", "image/jpeg")).IsProblem(413, "too_many_bytes");
        (await Send(bomb, "gzip", "application/json")).IsProblem(400, "malformed_body");      // zeros are no JSON: read to the first
        byte[] json = Compress("gzip", new MemoryStream("{\"images\":[{\"data\":\""u8.ToArray()), new SameByte((byte)'A', 70_000_000), new MemoryStream("\"}]}"u8.ToArray()));
        (await Send(json, "gzip", "application/json")).IsProblem(413, "body_too_large");
        (await Send(Compress("zstd", new SameByte(0, 200_000_000)), "zstd", "image/jpeg")).IsProblem(413, "too_many_bytes");
    }

    [Fact]
    public async Task A_coding_that_is_not_read_or_not_true_is_told()
    {
        Answer unknown = await Send(Photos.Sample("cat"), "compress", "image/jpeg");
        unknown.IsProblem(415, "unsupported_media_type");
        Assert.Contains("Content-Encoding 'compress'", (string?)unknown.Body["detail"], StringComparison.Ordinal);
        (await Send(Photos.Sample("cat"), "gzip", "image/jpeg")).IsProblem(400, "malformed_body");
        (await Send(Photos.Sample("cat"), "zstd", "image/jpeg")).IsProblem(400, "malformed_body");
        // A frame that asks for a window of 2 GB: RFC 8878, 3.1.1.1.2.
        (await Send([0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xA8, 0x01, 0x00, 0x00], "zstd", "image/jpeg")).IsProblem(400, "malformed_body");
    }

    [Theory]
    [InlineData("{\"images\":[{\"data\":\"DATA:image/jpeg;name=cat.jpg;BASE64,$\"}]}")]
    [InlineData("{\"images\":[\"$\"]}")]
    [InlineData("{\"image\":\"$\"}")]
    [InlineData("{\"image\":{\"name\":\"cat.jpg\",\"data\":\"$\"}}")]
    public async Task JSON_is_read_as_people_write_it(string json)
    {
        string url = Convert.ToBase64String(Photos.Sample("cat")).TrimEnd('=').Replace('+', '-').Replace('/', '_');
        Assert.Equal(await service.BestOf("cat"), (await service.CaptionJson(json.Replace("$", url, StringComparison.Ordinal))).Best());
    }

    [Fact]
    public async Task JSON_without_its_type_is_told_so()
    {
        Answer answer = await Answer.To(service.Client, "/captions", new StringContent("{\"images\":[]}", new MediaTypeHeaderValue("application/x-www-form-urlencoded")));
        answer.IsProblem(415, "unsupported_media_type");
        Assert.Contains("application/json", (string?)answer.Body["detail"], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a=b/c:d")]
    [InlineData("----dart-http-boundary-x=y")]
    public async Task A_boundary_without_its_quotes_is_read(string boundary)
    {
        using var form = new MultipartFormDataContent(boundary) { { new ByteArrayContent(Photos.Sample("cat")), "photo", "cat.jpg" } };
        using var content = new ByteArrayContent(await form.ReadAsByteArrayAsync(Service.Cancellation));
        content.Headers.TryAddWithoutValidation("Content-Type", $"multipart/form-data; boundary={boundary}");
        Assert.Equal(await service.BestOf("cat"), (await Answer.To(service.Client, "/captions", content)).Best());
    }

    [Fact]
    public async Task A_file_field_that_nobody_filled_is_passed_over_and_one_without_a_name_is_read()
    {
        using var form = new MultipartFormDataContent { { new ByteArrayContent(Photos.Sample("cat")), "photo" }, { new ByteArrayContent([]), "image" } };
        Answer answer = await Answer.To(service.Client, "/captions", form);
        Assert.Equal(await service.BestOf("cat"), answer.Best());
        Assert.Single(answer.Body["results"]!.AsArray());
    }

    [Theory]
    [InlineData("/captions?language=de_DE", "en", "de")]
    [InlineData("/captions", "zh_CN,en;q=0.5", "zh")]
    [InlineData("/captions", "de;q=0,zh;q=0.2", "zh")]
    public async Task A_language_is_found_in_either_spelling(string path, string accept, string language)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = Service.Bytes(Photos.Sample("cat")) };
        request.Headers.TryAddWithoutValidation("Accept-Language", accept);
        using HttpResponseMessage response = await service.Client.SendAsync(request, Service.Cancellation);
        Assert.Equal([language], response.Content.Headers.ContentLanguage);
    }

    private Task<Answer> Send(byte[] body, string coding, string type)
    {
        var content = new ByteArrayContent(body);
        content.Headers.ContentType = MediaTypeHeaderValue.Parse(type);
        content.Headers.ContentEncoding.Add(coding);
        return Answer.To(service.Client, "/captions", content);
    }

    private static byte[] Compress(byte[] bytes, string coding) => Compress(coding, new MemoryStream(bytes));

    private static byte[] Compress(string coding, params Stream[] parts)
    {
        var compressed = new MemoryStream();
        using (Stream stream = coding switch
        {
            "gzip" => new GZipStream(compressed, CompressionLevel.Fastest, leaveOpen: true),
            "br" => new BrotliStream(compressed, CompressionLevel.Fastest, leaveOpen: true),
            "zstd" => new ZstdSharp.CompressionStream(compressed, leaveOpen: true),
            _ => new ZLibStream(compressed, CompressionLevel.Fastest, leaveOpen: true),
        })
        {
            foreach (Stream part in parts)
            {
                part.CopyTo(stream);
            }
        }
        return compressed.ToArray();
    }

    private static string? Header(HttpResponseMessage response, string name) => response.Headers.TryGetValues(name, out var values) ? values.Single() : null;
}
