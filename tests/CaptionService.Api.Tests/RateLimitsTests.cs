namespace CaptionService.Api.Tests;

/// <summary>How much is answered in a minute. The limits are so low that a bucket gets nothing back while a test runs.</summary>
public sealed class RateLimitsTests(ShippedSmall shipped)
{
    [Fact]
    public async Task Requests_beyond_the_limit_of_a_key_or_an_address_are_refused_with_when_to_come_again()
    {
        await using var factory = new ServiceFactory(host =>
        {
            ServiceFactory.WithoutModels(host);
            host.UseSetting("Auth:FirstKey", ServiceFactory.FirstKey).UseSetting("RateLimits:RequestsPerKey", "2").UseSetting("RateLimits:RequestsPerAddress", "5");
        });
        using HttpClient known = await factory.Start(ready: false, ServiceFactory.FirstKey);
        Answer first = await Answer.Get(known, "/models");
        Assert.Equal("\"requests-per-address\";q=5;w=60, \"requests-per-key\";q=2;w=60", first.Headers.GetValues("RateLimit-Policy").Single());
        Assert.Equal("\"requests-per-address\";r=4, \"requests-per-key\";r=1", first.Headers.GetValues("RateLimit").Single());
        Assert.Equal(200, (await Answer.Get(known, "/models")).Status);

        Answer refused = (await Answer.Get(known, "/models")).IsProblem(429, "rate_limited");
        Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 30);
        Assert.Contains("\"requests-per-key\";r=0", refused.Headers.GetValues("RateLimit").Single(), StringComparison.Ordinal);

        // Guesses are counted by the address, where one that its key's limit refused costs two: ASP.NET Core tries twice.
        using var guessing = new HttpClient { BaseAddress = known.BaseAddress };
        (await Answer.Get(guessing, "/models")).IsProblem(401, "no_key");
        (await Answer.Get(guessing, "/models")).IsProblem(429, "rate_limited");
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(200, (await Answer.Get(guessing, "/health/live")).Status);
        }
    }

    [Fact]
    public async Task Photos_are_counted_one_by_one()
    {
        await using var factory = new ServiceFactory(host => host.UseSetting(ShippedSmall.Setting, shipped.Folder).UseSetting("RateLimits:PhotosPerAddress", "5"));
        using HttpClient client = await factory.Start(ready: true);
        (string, byte[])[] three = [.. Enumerable.Repeat(("a.png", Photos.BlackPng(1)), 3)];
        Answer taken = await Answer.To(client, "/captions", Service.Form(three));
        Assert.Equal((200, "\"photos-per-address\";r=2"), (taken.Status, taken.Headers.GetValues("RateLimit").Single()));
        (await Answer.To(client, "/captions", Service.Form(three))).IsProblem(429, "rate_limited");
        Assert.Equal(200, (await Answer.To(client, "/captions", Service.Form(three[..2]))).Status);
    }
}
