namespace CaptionService.Api.Tests;

/// <summary>What every answer tells browsers, and which proxies are believed.</summary>
public sealed class SecurityHeadersTests(Service service)
{
    [Theory]
    [InlineData("/")]
    [InlineData("/models")]
    [InlineData("/nothing")]
    [InlineData("/health/live")]
    [InlineData("/swagger/index.html")]
    public async Task Every_answer_has_the_headers_and_no_banner(string path)
    {
        using HttpResponseMessage answer = await service.Client.GetAsync(path, Service.Cancellation);
        Assert.Equal("nosniff", answer.Headers.GetValues("X-Content-Type-Options").Single());
        Assert.StartsWith("default-src 'self'; ", answer.Headers.GetValues("Content-Security-Policy").Single(), StringComparison.Ordinal);
        Assert.Empty(answer.Headers.Server);
        Assert.False(answer.Headers.Contains("X-Powered-By"));
    }

    [Fact]
    public async Task Swagger_holds_no_script_that_the_policy_refuses()
    {
        string page = await service.Client.GetStringAsync("/swagger/index.html", Service.Cancellation);
        Assert.DoesNotMatch("<script>|<script[^>]*>\\s*[^<\\s]|\\son[a-z]+=", page);
    }

    [Theory]
    [InlineData(null, "127.0.0.1")]
    [InlineData("127.0.0.0/8", "203.0.113.7")]
    [InlineData("10.0.0.1", "127.0.0.1")]
    public async Task Only_a_named_proxy_is_believed_about_where_a_request_comes_from(string? proxy, string from)
    {
        await using var factory = new ServiceFactory(host =>
        {
            ServiceFactory.WithoutModels(host);
            if (proxy is not null)
            {
                host.UseSetting("Forwarded:Proxies:0", proxy);
            }
        });
        using HttpClient client = await factory.Start(ready: false);
        client.DefaultRequestHeaders.Add("X-Forwarded-For", "198.51.100.9, 203.0.113.7");
        Answer made = await Answer.To(client, "/keys", new StringContent("""{"name": "a", "scope": "admin"}""", System.Text.Encoding.UTF8, "application/json"));
        client.DefaultRequestHeaders.Add("X-Api-Key", (string)made.Body["key"]!);
        Assert.Equal(from, (string?)(await Answer.Get(client, "/audit")).Body["entries"]![0]!["from"]);
    }
}
